//! What a replay came to, for people and for programs.

use std::{cmp::Reverse, collections::BTreeMap, fmt::Write as _};

use anstyle::{AnsiColor, Style};
use hexr_authz_core::replay::{Change, Replayed};
use serde_json::{Value, json};

use super::Aside;

/// What events came to so far.
#[derive(Default)]
pub(super) struct Report {
    same: u64,
    changes: BTreeMap<Why, BTreeMap<What, Count>>,
    changed: u64,
    /// Changes that are counted only, because there are too many kinds of them.
    unnamed: u64,
    uncertain: u64,
    erased: BTreeMap<String, u64>,
    not_replayed: BTreeMap<String, u64>,
}

/// Why decisions change.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Why {
    /// The code of the reason for which they would be denied; nothing where they would be allowed.
    reason: Option<&'static str>,
    /// The code of the reason for which they were denied.
    before: Option<String>,
    decider: Option<String>,
    said: Option<String>,
}

/// What was asked for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct What {
    tenant: String,
    service: String,
    action: String,
}

struct Count {
    decisions: u64,
    first: String,
    last: String,
    example: String,
}

/// So many kinds of changes are told apart, and so many erased paths.
const MOST_KINDS: usize = 1_000;

// === impl Report ===

impl Report {
    pub(super) fn add(&mut self, replayed: Replayed) {
        match replayed {
            Replayed::Same => self.same += 1,
            Replayed::Changed(change) => self.add_change(*change),
            Replayed::Uncertain(paths) => {
                self.uncertain += 1;
                for path in paths {
                    let is_room = self.erased.len() < MOST_KINDS || self.erased.contains_key(&path);
                    *self.erased.entry(if is_room { path } else { "others".to_owned() }).or_default() += 1;
                }
            }
            Replayed::NotReplayable(reason) => {
                let is_room = self.not_replayed.len() < MOST_KINDS || self.not_replayed.contains_key(&reason);
                *self.not_replayed.entry(if is_room { reason } else { "others".to_owned() }).or_default() +=
                    1;
            }
        }
    }

    fn add_change(&mut self, change: Change) {
        self.changed += 1;
        let kinds: usize = self.changes.values().map(BTreeMap::len).sum();
        let Change { decision_id, instant, tenant, service, action, past, reason, said, decider } = change;
        let why = Why { reason, before: past.reason, decider, said };
        let what = What { tenant, service, action };
        let is_known = self.changes.get(&why).is_some_and(|group| group.contains_key(&what));
        if !is_known && kinds >= MOST_KINDS {
            self.unnamed += 1;
            return;
        }
        let at = instant.to_rfc3339();
        let count = self.changes.entry(why).or_default().entry(what).or_insert_with(|| Count {
            decisions: 0,
            first: at.clone(),
            last: String::new(),
            example: decision_id,
        });
        count.decisions += 1;
        count.last = at;
    }

    /// How many decisions were made again.
    pub(super) fn decided(&self) -> u64 {
        self.same + self.changed
    }

    pub(super) fn changed(&self) -> u64 {
        self.changed
    }

    /// Why not one decision was made again.
    pub(super) fn nothing(&self, aside: &Aside) -> String {
        format!("no decision could be made again\n{}", self.rest(aside)).trim_end().to_owned()
    }

    pub(super) fn pretty(&self, aside: &Aside) -> String {
        let style = |color: AnsiColor| Style::new().bold().fg_color(Some(color.into()));
        let mut text = format!("{} of {} decisions would change\n", self.changed, self.decided());
        for (why, group) in self.by_weight() {
            let style = style(if why.reason.is_some() { AnsiColor::Red } else { AnsiColor::Yellow });
            let total: u64 = group.iter().map(|(_, count)| count.decisions).sum();
            let _ = writeln!(text, "\n{style}{}{style:#}: {total}", printable(&why.words()));
            let rows: Vec<[String; 5]> = group.iter().map(|(what, count)| row(what, count)).collect();
            text.push_str(&aligned(&rows));
        }
        if self.unnamed > 0 {
            let _ = writeln!(text, "\nof more kinds than are told apart: {}", self.unnamed);
        }
        let rest = self.rest(aside);
        if !rest.is_empty() {
            let _ = write!(text, "\n{rest}");
        }
        text
    }

    /// What was not decided again.
    fn rest(&self, aside: &Aside) -> String {
        let mut text = String::new();
        let list = |counts: &BTreeMap<String, u64>| {
            let rows: Vec<[String; 2]> =
                counts.iter().map(|(name, count)| [printable(name), count.to_string()]).collect();
            aligned(&rows)
        };
        if self.uncertain > 0 {
            let _ =
                writeln!(text, "uncertain, because the candidate reads what was erased: {}", self.uncertain);
            text.push_str(&list(&self.erased));
        }
        let not_replayed: u64 = self.not_replayed.values().sum();
        if not_replayed > 0 {
            let _ = writeln!(text, "not decided by a policy, or not by this one: {not_replayed}");
            text.push_str(&list(&self.not_replayed));
        }
        for (count, what) in
            [(aside.repeated, "sent more than once, and counted once"), (aside.other, "no decisions")]
        {
            if count > 0 {
                let _ = writeln!(text, "{what}: {count}");
            }
        }
        text
    }

    pub(super) fn json(&self, aside: &Aside) -> String {
        let changes = self.by_weight().into_iter().flat_map(|(why, group)| {
            group.into_iter().map(move |(what, count)| {
                json!({
                    "change": if why.reason.is_some() { "deny" } else { "allow" },
                    "reason": why.reason,
                    "reason_before": why.before,
                    "message": why.said,
                    "rule": why.decider,
                    "tenant": what.tenant,
                    "service": what.service,
                    "action": what.action,
                    "decisions": count.decisions,
                    "first": count.first,
                    "last": count.last,
                    "decision_id": count.example,
                })
            })
        });
        let report = json!({
            "decisions": self.decided(),
            "changed": self.changed,
            "changes": changes.collect::<Vec<Value>>(),
            "changes_not_told_apart": self.unnamed,
            "uncertain": {"decisions": self.uncertain, "erased": self.erased},
            "not_replayed": self.not_replayed,
            "repeated": aside.repeated,
            "no_decisions": aside.other,
        });
        format!("{report}\n")
    }

    /// What would be allowed comes first, and then what is most often.
    fn by_weight(&self) -> Vec<(&Why, Vec<(&What, &Count)>)> {
        let mut groups: Vec<(&Why, Vec<(&What, &Count)>)> = self
            .changes
            .iter()
            .map(|(why, group)| {
                let mut group: Vec<(&What, &Count)> = group.iter().collect();
                group.sort_by_key(|(_, count)| Reverse(count.decisions));
                (why, group)
            })
            .collect();
        let total = |group: &[(&What, &Count)]| group.iter().map(|(_, count)| count.decisions).sum::<u64>();
        groups.sort_by_key(|(why, group)| (why.reason.is_some(), Reverse(total(group))));
        groups
    }
}

// === impl Why ===

impl Why {
    fn words(&self) -> String {
        let mut text = match (self.reason, &self.before) {
            (Some(reason), _) => format!("allowed before, now {reason}"),
            (None, Some(before)) => format!("{before} before, now allowed"),
            (None, None) => "denied before, now allowed".to_owned(),
        };
        match (&self.decider, self.reason) {
            (Some(decider), _) => {
                let _ = write!(text, " by {decider}");
            }
            (None, Some("policy_denied" | "tenant_policy_denied")) => text.push_str(", no rule allows it"),
            (None, _) => {}
        }
        if let Some(said) = &self.said {
            let _ = write!(text, " ({said})");
        }
        text
    }
}

fn row(what: &What, count: &Count) -> [String; 5] {
    let Count { decisions, first, last, example } = count;
    let span = if first == last { format!("at {first}") } else { format!("{first} to {last}") };
    let asked = format!("{} {}", what.service, what.action);
    [what.tenant.clone(), asked, decisions.to_string(), span, format!("as {example}")]
        .map(|text| printable(&text))
}

/// Rows of which the columns stand below each other.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = text.chars().count().max(*width);
        }
    }
    let lines = rows.iter().map(|row| {
        let columns = row.iter().zip(widths).map(|(text, width)| format!("  {text:width$}"));
        format!("{}\n", columns.collect::<String>().trim_end())
    });
    lines.collect()
}

/// What an agent may have chosen is not to move the cursor.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|char| {
            let escaped = char.is_control().then(|| char.escape_default());
            let plain = (!char.is_control()).then_some(char);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}
