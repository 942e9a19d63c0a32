//! Decisions of the past, as many as are kept.

use std::path::Path;

use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase as _, ReadableTableMetadata as _, TableDefinition};
use serde_json::Value;

use super::selection::Selection;

/// The events, in the order of their instants.
#[derive(Debug)]
pub(super) struct History {
    database: Database,
    most: u64,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// Its instant, in nanoseconds since 1970.
    pub(super) nanos: i64,
    /// The decision's id. One that is sent again takes the place of the one before.
    pub(super) id: String,
    pub(super) json: String,
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

    /// Adds events, and lets the oldest go that are too many.
    ///
    /// # Errors
    /// When they cannot be written; then none of them is there.
    pub(super) fn add(&self, events: &[Event]) -> Result<(), String> {
        self.write(events).map_err(|error| format!("the history cannot be written: {error}"))
    }

    fn write(&self, events: &[Event]) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(EVENTS)?;
            for Event { nanos, id, json } in events {
                table.insert((*nanos, id.as_str()), json.as_str())?;
            }
            while table.len()? > self.most {
                table.pop_first()?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// The newest events that are asked for, one on a line, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn find(&self, selection: &Selection) -> Result<String, String> {
        self.read(selection).map_err(|error| format!("the history cannot be read: {error}"))
    }

    fn read(&self, selection: &Selection) -> Result<String, redb::Error> {
        let table = self.database.begin_read()?.open_table(EVENTS)?;
        let mut found = Vec::new();
        for entry in table.range((selection.from_nanos, "")..)?.rev() {
            if found.len() >= selection.limit {
                break;
            }
            let (_, json) = entry?;
            let json = json.value();
            if serde_json::from_str(json).is_ok_and(|event: Value| selection.has(&event)) {
                found.push(json.to_owned());
            }
        }
        let mut text = String::new();
        for json in found.iter().rev() {
            text.push_str(json);
            text.push('\n');
        }
        Ok(text)
    }
}
