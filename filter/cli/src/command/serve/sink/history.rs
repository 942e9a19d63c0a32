//! Decisions of the past, as many as are kept.

use std::path::Path;

use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase as _, ReadableTableMetadata as _, TableDefinition};
use serde_json::Value;

use super::selection::Selection;
use crate::command::serve::tally::Decided;

/// The events, in the order of their instants.
#[derive(Debug)]
pub(super) struct History {
    database: Database,
    most: u64,
}

/// One event.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// Its instant, in nanoseconds since 1970.
    pub(super) nanos: i64,
    /// The decision's id. One that is sent again takes the place of the one before.
    pub(super) id: String,
    pub(super) json: String,
    /// The same in short.
    pub(super) decided: Decided,
}

const EVENTS: TableDefinition<'_, (i64, &str), &str> = TableDefinition::new("events");

// === impl History ===

impl History {
    /// That of a file, or an empty one in memory; it keeps the `most` newest events.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub(super) fn open(path: Option<&Path>, most: u64) -> Result<Self, String> {
        let database = match path {
            Some(path) => Database::create(path).map_err(|error| format!("{}: {error}", path.display()))?,
            None => Database::builder()
                .create_with_backend(InMemoryBackend::new())
                .map_err(|error| error.to_string())?,
        };
        let history = Self { database, most };
        history.add(&[])?;
        Ok(history)
    }

    /// Adds events, and lets the oldest go that are too many; gives those that were not there yet.
    ///
    /// # Errors
    /// When they cannot be written; then none of them is there.
    pub(super) fn add<'e>(&self, events: &'e [Event]) -> Result<Vec<&'e Event>, String> {
        self.write(events).map_err(|error| format!("the history cannot be written: {error}"))
    }

    fn write<'e>(&self, events: &'e [Event]) -> Result<Vec<&'e Event>, redb::Error> {
        let mut new = Vec::new();
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(EVENTS)?;
            for event in events {
                if table.insert((event.nanos, event.id.as_str()), event.json.as_str())?.is_none() {
                    new.push(event);
                }
            }
            while table.len()? > self.most {
                table.pop_first()?;
            }
        }
        transaction.commit()?;
        Ok(new)
    }

    /// The newest events that are asked for, one on a line, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn find(&self, selection: &Selection) -> Result<String, String> {
        let is_asked_for =
            |json: &str| serde_json::from_str(json).is_ok_and(|event: Value| selection.has(&event));
        let found = self.newest(selection.from_nanos, selection.limit, is_asked_for)?;
        let mut text = String::new();
        for json in found.iter().rev() {
            text.push_str(json);
            text.push('\n');
        }
        Ok(text)
    }

    /// The newest events since an instant that are wanted, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn newest(
        &self,
        from_nanos: i64,
        limit: usize,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, String> {
        let read = || -> Result<_, redb::Error> {
            let table = self.database.begin_read()?.open_table(EVENTS)?;
            let mut found = Vec::new();
            for entry in table.range((from_nanos, "")..)?.rev() {
                if found.len() >= limit {
                    break;
                }
                let (_, json) = entry?;
                if is_wanted(json.value()) {
                    found.push(json.value().to_owned());
                }
            }
            Ok(found)
        };
        read().map_err(unreadable)
    }

    /// The event of that instant and id.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn event(&self, nanos: i64, id: &str) -> Result<Option<String>, String> {
        let read = || -> Result<_, redb::Error> {
            let table = self.database.begin_read()?.open_table(EVENTS)?;
            Ok(table.get((nanos, id))?.map(|json| json.value().to_owned()))
        };
        read().map_err(unreadable)
    }
}

fn unreadable(error: redb::Error) -> String {
    format!("the history cannot be read: {error}")
}
