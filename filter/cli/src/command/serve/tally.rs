//! The newest decisions, and how many there were in each minute of the last hour, and whose. They are kept as they come, so
//! that a look at them costs the same however long the history is, and however large an event.

use std::collections::BTreeMap;

use hexr_authz_core::timestamp::Timestamp;
use serde_json::Value;

/// What is kept in mind of the decisions.
#[derive(Debug, Default)]
pub(super) struct Tally {
    minutes: BTreeMap<i64, Minute>,
    /// By their instants and ids.
    newest: BTreeMap<(i64, String), Decided>,
}

/// So many minutes are counted, up to the present one.
const MINUTES: i64 = 60;
const NANOS_PER_MINUTE: i64 = 60_000_000_000;
/// Whose clock is ahead by less has decided in the present minute.
const CLOCKS_DIFFER: i64 = 5;
/// So many names are told apart in a minute; agents choose them.
const MAX_NAMES: usize = 200;
/// So many characters of a text are kept.
const MAX_TEXT: usize = 300;
/// So many decisions are kept as they are told.
const MOST_NEWEST: usize = 50;
/// The name of what has none.
const UNNAMED: &str = "(none)";

/// How a decision went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Allow,
    /// In shadow mode: it was a refusal, and nothing was refused.
    WouldDeny,
    Deny,
}

/// By what decisions are counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Facet {
    Agent,
    Service,
    /// Of refusals.
    Reason,
}

/// How many went how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) allow: u64,
    pub(super) would_deny: u64,
    pub(super) deny: u64,
}

/// The counts of an hour, and of each of its minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Series {
    /// None for all others together.
    pub(super) name: Option<String>,
    pub(super) total: Counts,
    pub(super) minutes: Vec<Counts>,
}

/// A decision in short. What it does not tell is empty.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) instant: Timestamp,
    pub(super) id: String,
    pub(super) outcome: Outcome,
    pub(super) spiffe_id: String,
    pub(super) tenant: String,
    pub(super) agent: String,
    pub(super) role: String,
    pub(super) service: String,
    pub(super) action: String,
    pub(super) reason: String,
    pub(super) policy_reason: String,
}

#[derive(Debug, Default)]
struct Minute {
    all: Counts,
    agents: Names,
    services: Names,
    reasons: Names,
}

/// None stands for the names that came when there were too many.
type Names = BTreeMap<Option<String>, Counts>;

/// The first minute that is counted, in minutes since 1970.
pub(super) fn first_minute(now: Timestamp) -> i64 {
    minute_of(now) - MINUTES + 1
}

fn minute_of(instant: Timestamp) -> i64 {
    instant.unix_nanos().div_euclid(NANOS_PER_MINUTE)
}

// === impl Outcome ===

impl Outcome {
    fn of(event: &Value) -> Self {
        let is = |field: &str, expected: bool| event.get(field) == Some(&Value::Bool(expected));
        match (is("result", true), is("enforced", false)) {
            (true, _) => Self::Allow,
            (false, true) => Self::WouldDeny,
            (false, false) => Self::Deny,
        }
    }
}

// === impl Decided ===

impl Decided {
    pub(super) fn of(instant: Timestamp, id: &str, event: &Value) -> Self {
        let text = |pointer: &str| {
            let text = event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            text.chars().take(MAX_TEXT).collect()
        };
        Self {
            instant,
            id: id.to_owned(),
            outcome: Outcome::of(event),
            spiffe_id: text("/input/spiffe_id"),
            tenant: text("/input/tenant"),
            agent: text("/input/agent"),
            role: text("/input/role"),
            service: text("/input/service"),
            action: text("/input/action"),
            reason: text("/reason"),
            policy_reason: text("/policy_reason"),
        }
    }
}

/// Texts with a sign between them, of which some may be empty.
fn joined(texts: [&str; 2], sign: &str) -> String {
    match texts {
        ["", ""] => UNNAMED.to_owned(),
        [one, ""] | ["", one] => one.to_owned(),
        [one, other] => format!("{one}{sign}{other}"),
    }
}

// === impl Tally ===

impl Tally {
    pub(super) fn add(&mut self, decided: &Decided, now: Timestamp) {
        self.newest.insert((decided.instant.unix_nanos(), decided.id.clone()), decided.clone());
        if self.newest.len() > MOST_NEWEST {
            self.newest.pop_first();
        }
        let (first, last, minute) = (first_minute(now), minute_of(now), minute_of(decided.instant));
        self.minutes.retain(|minute, _| *minute >= first);
        if minute < first || minute > last + CLOCKS_DIFFER {
            return;
        }
        let minute = self.minutes.entry(minute.min(last)).or_default();
        minute.all.add(Counts::one(decided.outcome));
        enter(&mut minute.agents, joined([&decided.tenant, &decided.agent], "/"), decided.outcome);
        enter(&mut minute.services, joined([&decided.service, ""], ""), decided.outcome);
        match decided.outcome {
            Outcome::Allow => {}
            Outcome::WouldDeny | Outcome::Deny => {
                let reason = joined([&decided.reason, &decided.policy_reason], ": ");
                enter(&mut minute.reasons, reason, decided.outcome);
            }
        }
    }

    /// The newest decisions, newest first.
    pub(super) fn newest(&self) -> impl Iterator<Item = &Decided> {
        self.newest.values().rev()
    }

    /// All decisions.
    pub(super) fn all(&self, now: Timestamp) -> Series {
        let mut all = Series::empty(None);
        for (at, minute) in self.last_hour(now) {
            all.add(at, minute.all);
        }
        all
    }

    /// Those of the `most` names with the most decisions, and at last those of all others together, if there are any.
    pub(super) fn by(&self, facet: Facet, most: usize, now: Timestamp) -> Vec<Series> {
        let mut totals = Names::new();
        for (name, counts) in self.last_hour(now).flat_map(|(_, minute)| minute.by(facet)) {
            match totals.get_mut(name) {
                Some(total) => total.add(*counts),
                None => drop(totals.insert(name.clone(), *counts)),
            }
        }
        let mut named: Vec<(String, Counts)> =
            totals.into_iter().filter_map(|(name, counts)| Some((name?, counts))).collect();
        named.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.sum()));
        let mut top: Vec<Series> =
            named.into_iter().take(most).map(|(name, _)| Series::empty(Some(name))).collect();
        let mut others = Series::empty(None);
        for (at, minute) in self.last_hour(now) {
            for (name, counts) in minute.by(facet) {
                let own = top.iter_mut().find(|series| name.is_some() && series.name == *name);
                own.unwrap_or(&mut others).add(at, *counts);
            }
        }
        top.extend(Some(others).filter(|others| others.total.sum() > 0));
        top
    }

    /// The minutes, each with its place in the hour.
    fn last_hour(&self, now: Timestamp) -> impl Iterator<Item = (usize, &Minute)> {
        let first = first_minute(now);
        self.minutes.range(first..=minute_of(now)).filter_map(move |(minute, counted)| {
            Some((usize::try_from(minute.checked_sub(first)?).ok()?, counted))
        })
    }
}

fn enter(names: &mut Names, name: String, outcome: Outcome) {
    let name = Some(name);
    let key = if names.len() < MAX_NAMES || names.contains_key(&name) { name } else { None };
    names.entry(key).or_default().add(Counts::one(outcome));
}

// === impl Minute ===

impl Minute {
    fn by(&self, facet: Facet) -> &Names {
        match facet {
            Facet::Agent => &self.agents,
            Facet::Service => &self.services,
            Facet::Reason => &self.reasons,
        }
    }
}

// === impl Series ===

impl Series {
    fn empty(name: Option<String>) -> Self {
        let minutes = (0..MINUTES).map(|_| Counts::default()).collect();
        Self { name, total: Counts::default(), minutes }
    }

    fn add(&mut self, at: usize, counts: Counts) {
        self.total.add(counts);
        if let Some(minute) = self.minutes.get_mut(at) {
            minute.add(counts);
        }
    }
}

// === impl Counts ===

impl Counts {
    fn one(outcome: Outcome) -> Self {
        let mut counts = Self::default();
        match outcome {
            Outcome::Allow => counts.allow = 1,
            Outcome::WouldDeny => counts.would_deny = 1,
            Outcome::Deny => counts.deny = 1,
        }
        counts
    }

    pub(super) fn sum(self) -> u64 {
        self.allow.saturating_add(self.would_deny).saturating_add(self.deny)
    }

    pub(super) fn add(&mut self, other: Self) {
        self.allow = self.allow.saturating_add(other.allow);
        self.would_deny = self.would_deny.saturating_add(other.would_deny);
        self.deny = self.deny.saturating_add(other.deny);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// 10:30:20 on some day.
    const NOW: i64 = 1_768_473_020;

    fn tally(events: impl IntoIterator<Item = (i64, Value)>) -> Tally {
        let mut tally = Tally::default();
        for (seconds, event) in events {
            let instant = Timestamp::from_unix_nanos((NOW + seconds) * 1_000_000_000);
            let id = format!("d{}", tally.newest.len());
            tally.add(&Decided::of(instant, &id, &event), now());
        }
        tally
    }

    fn now() -> Timestamp {
        Timestamp::from_unix_nanos(NOW * 1_000_000_000)
    }

    fn event(agent: &str, result: bool) -> Value {
        json!({"result": result, "reason": "policy_denied", "input": {"tenant": "acme", "agent": agent, "service": "aws_s3"}})
    }

    fn counts(allow: u64, would_deny: u64, deny: u64) -> Counts {
        Counts { allow, would_deny, deny }
    }

    /// The names and their totals, `-` for the others.
    fn totals(series: &[Series]) -> Vec<(&str, Counts)> {
        series.iter().map(|series| (series.name.as_deref().unwrap_or("-"), series.total)).collect()
    }

    #[test]
    fn what_counts_where() {
        let shadow = json!({"result": false, "enforced": false, "reason": "no_policy", "policy_reason": "soon",
            "candidate": {"result": true}});
        let tally = tally([
            (0, event("crew", true)),
            // Ahead, but not by much; too far ahead; and an hour ago, to the minute.
            (240, event("crew", false)),
            (400, event("crew", true)),
            (-59 * 60, event("ops", true)),
            (-60 * 60, event("ops", true)),
            (-70, shadow),
            (-70, json!({"result": "yes", "input": {"agent": 7}})),
        ]);
        let all = tally.all(now());
        assert_eq!(all.total, counts(2, 1, 2));
        for (at, expected) in
            [(0, counts(1, 0, 0)), (58, counts(0, 1, 1)), (59, counts(1, 0, 1)), (30, counts(0, 0, 0))]
        {
            assert_eq!(all.minutes[at], expected, "{at}");
        }
        let agents = tally.by(Facet::Agent, 2, now());
        assert_eq!(
            totals(&agents),
            [("(none)", counts(0, 1, 1)), ("acme/crew", counts(1, 0, 1)), ("-", counts(1, 0, 0))]
        );
        let reasons = tally.by(Facet::Reason, 9, now());
        assert_eq!(
            totals(&reasons),
            [
                ("(none)", counts(0, 0, 1)),
                ("no_policy: soon", counts(0, 1, 0)),
                ("policy_denied", counts(0, 0, 1))
            ]
        );
        assert_eq!(totals(&tally.by(Facet::Service, 1, now()))[0], ("aws_s3", counts(2, 0, 1)));
        let newest: Vec<_> = tally.newest().map(|decided| (decided.id.as_str(), decided.outcome)).collect();
        assert_eq!(newest[..2], [("d2", Outcome::Allow), ("d1", Outcome::Deny)]);
        assert_eq!(newest.last().unwrap().0, "d4");
        let later = Timestamp::from_unix_nanos((NOW + 3600) * 1_000_000_000);
        assert_eq!(tally.all(later).total, Counts::default());
    }

    #[test]
    fn names_have_a_bound() {
        let many = (0..10_000).map(|number| (0, event(&format!("{number:04}{}", "x".repeat(500)), true)));
        let tally = tally(many);
        assert_eq!(tally.minutes.values().map(|minute| minute.agents.len()).sum::<usize>(), MAX_NAMES + 1);
        let agents = tally.by(Facet::Agent, 3, now());
        assert_eq!(agents.last().unwrap().total, counts(9_997, 0, 0));
        assert_eq!(agents[0].name.as_ref().unwrap().chars().count(), "acme/".len() + MAX_TEXT);
        assert_eq!(tally.newest().count(), MOST_NEWEST);
    }
}
