//! Where our answers are not OPA's.

use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use super::{
    case::{Answer, Answers, Case},
    exceptions::{EXCEPTIONS, Exception},
    numbers::{with_plain_numbers, with_rounded_numbers},
    ours::{Program, WAYS, Way},
};

/// One answer that is not OPA's.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The case.
    pub case: Case,
    /// The input, by its place.
    pub input: usize,
    /// The query, by its place.
    pub query: usize,
    /// How we evaluated.
    way: Way,
    /// OPA's answer, or the kind of its refusal.
    pub opa: String,
    /// Ours.
    pub ours: String,
}

/// A policy that OPA takes and that is refused when it is loaded.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The case.
    pub case: String,
    /// The kind of reason.
    pub kind: String,
    /// Its words.
    pub reason: String,
}

/// How a comparison went.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many cases were compared.
    pub cases: usize,
    /// How many of them OPA refuses, by kind.
    pub opa_refuses: BTreeMap<String, usize>,
    /// Answers that are the same.
    pub same: usize,
    /// Of them, values.
    pub values: usize,
    /// Of them, errors.
    pub errors: usize,
    /// Answers that are the same but for how a number is spelled, `1.0` and `1`.
    pub spelling: Vec<Difference>,
    /// Answers that are the same once every number of OPA's is one of 64 bits.
    pub rounded: Vec<Difference>,
    /// Errors where OPA has a value or none, by their kind. They deny.
    pub errors_only_here: BTreeMap<String, Vec<Difference>>,
    /// Answers that differ and are known to.
    pub excepted: Vec<(&'static Exception, Difference)>,
    /// Policies that OPA refuses too.
    pub both_refuse: usize,
    /// Policies that we refuse and OPA takes, with our reasons.
    pub refused: Vec<Refused>,
    /// Policies that we take and OPA refuses, by the kind of OPA's refusal.
    pub lenient: BTreeMap<String, usize>,
    /// Answers that are not the same, and nothing says why.
    pub differences: Vec<Difference>,
}

/// Compares our answers to `cases` with OPA's, which are `answers`.
pub fn compare_all(cases: &[Case], answers: &[Answers]) -> Tally {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut tally = Tally::default();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let (Some(case), Some(answers)) = (cases.get(at), answers.get(at)) else { return tally };
            tally.compare(case, answers);
        }
    };
    let workers = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers)
            .filter_map(|_| thread::Builder::new().stack_size(64 << 20).spawn_scoped(scope, work).ok())
            .collect();
        let mut whole = Tally::default();
        for worker in workers {
            match worker.join() {
                Ok(part) => whole.add(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        whole
            .differences
            .sort_by_key(|difference| (difference.case.name.len(), difference.case.name.clone()));
        whole
    })
}

// === impl Tally ===

impl Tally {
    fn compare(&mut self, case: &Case, answers: &Answers) {
        self.cases += 1;
        if let Answers::Refused { kind, .. } = answers {
            *self.opa_refuses.entry(kind.clone()).or_default() += 1;
        }
        // Refusing is fine where it is said; dying is not, and is told by an answer of its own.
        let compiled = catch_unwind(AssertUnwindSafe(|| Program::compile(case)));
        match (compiled, answers) {
            (Err(_), _) => self.differs(case, (0, 0), WAYS[0], "not a panic", "a panic while compiling"),
            (Ok(Err(_)), Answers::Refused { .. }) => self.both_refuse += 1,
            (Ok(Err(reason)), Answers::Given(_)) => {
                let kind = kind_of(&reason);
                self.refused.push(Refused { case: case.name.clone(), kind, reason });
            }
            (Ok(Ok(program)), Answers::Refused { kind, .. }) => self.compare_refused(case, &program, kind),
            (Ok(Ok(program)), Answers::Given(rows)) => {
                for (input, row) in rows.iter().enumerate() {
                    for (query, opa) in row.iter().enumerate() {
                        for way in WAYS {
                            self.compare_answer(case, &program, (input, query), way, opa);
                        }
                    }
                }
            }
        }
    }

    /// What OPA does not take must not give a value here, unless OPA's reason is one of types or of syntax.
    fn compare_refused(&mut self, case: &Case, program: &Program, kind: &str) {
        *self.lenient.entry(kind.to_owned()).or_default() += 1;
        // A function with a type error is an undefined one to whoever calls it.
        if !matches!(kind, "unsafe" | "recursion" | "conflict") {
            return;
        }
        for input in 0..case.inputs.len() {
            for query in 0..case.queries.len() {
                for way in WAYS {
                    let ours = ask(case, program, (input, query), way);
                    if matches!(ours, Answer::Value(_)) {
                        self.differs(case, (input, query), way, &format!("refused: {kind}"), &ours.to_text());
                    }
                }
            }
        }
    }

    fn compare_answer(&mut self, case: &Case, program: &Program, at: (usize, usize), way: Way, opa: &Answer) {
        let ours = ask(case, program, at, way);
        let same = match (opa, &ours) {
            (Answer::Error(_), Answer::Error(text)) => text != PANIC,
            (Answer::Undefined | Answer::Value(_), Answer::Error(text)) if text != PANIC => {
                let found = difference(case, at, way, &opa.to_text(), &ours.to_text());
                self.errors_only_here.entry(kind_of(text)).or_default().push(found);
                return;
            }
            (Answer::Value(opa), Answer::Value(ours)) if opa != ours => {
                if with_plain_numbers(opa) == with_plain_numbers(ours) {
                    self.spelling.push(difference(case, at, way, opa, ours));
                    return;
                }
                if with_rounded_numbers(opa) == with_rounded_numbers(ours) {
                    self.rounded.push(difference(case, at, way, opa, ours));
                    return;
                }
                false
            }
            (opa, ours) => opa == ours,
        };
        if !same {
            self.differs(case, at, way, &opa.to_text(), &ours.to_text());
            return;
        }
        self.same += 1;
        match opa {
            Answer::Value(_) => self.values += 1,
            Answer::Error(_) => self.errors += 1,
            Answer::Undefined => {}
        }
    }

    fn differs(&mut self, case: &Case, at: (usize, usize), way: Way, opa: &str, ours: &str) {
        let found = difference(case, at, way, opa, ours);
        match Exception::of(&found).filter(|exception| exception.permits(&found)) {
            Some(exception) => self.excepted.push((exception, found)),
            None => self.differences.push(found),
        }
    }

    /// The exceptions for `cases` whose answers do not differ any more.
    pub fn stale_exceptions(&self, cases: &[Case]) -> Vec<&'static Exception> {
        EXCEPTIONS
            .iter()
            .filter(|exception| cases.iter().any(|case| case.name == exception.case))
            .filter(|exception| !self.excepted.iter().any(|(found, _)| std::ptr::eq(*found, *exception)))
            .collect()
    }

    /// How many answers are errors only here.
    pub fn errors_only_here(&self) -> usize {
        self.errors_only_here.values().map(Vec::len).sum()
    }

    /// How many policies are refused only here, by the kind of reason.
    pub fn refusals(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for refused in &self.refused {
            *counts.entry(refused.kind.as_str()).or_default() += 1;
        }
        counts
    }

    fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.same += other.same;
        self.values += other.values;
        self.errors += other.errors;
        self.spelling.extend(other.spelling);
        self.rounded.extend(other.rounded);
        self.excepted.extend(other.excepted);
        for (kind, found) in other.errors_only_here {
            self.errors_only_here.entry(kind).or_default().extend(found);
        }
        self.both_refuse += other.both_refuse;
        self.refused.extend(other.refused);
        self.differences.extend(other.differences);
        for (into, from) in [(&mut self.lenient, other.lenient), (&mut self.opa_refuses, other.opa_refuses)] {
            for (kind, count) in from {
                *into.entry(kind).or_default() += count;
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} cases, of which OPA refuses {:?}", self.cases, self.opa_refuses)?;
        writeln!(f, "{} answers are the same: {} values, {} errors", self.same, self.values, self.errors)?;
        writeln!(f, "{} answers spell a number otherwise", self.spelling.len())?;
        writeln!(f, "{} answers have a number that is rounded to 64 bits", self.rounded.len())?;
        writeln!(f, "{} answers are errors only here:", self.errors_only_here())?;
        for (kind, found) in &self.errors_only_here {
            writeln!(f, "  {} {kind}", found.len())?;
        }
        writeln!(f, "{} policies are refused by both, {} only here:", self.both_refuse, self.refused.len())?;
        for (kind, count) in self.refusals() {
            writeln!(f, "  {count} {kind}")?;
        }
        writeln!(f, "{} answers are known to differ", self.excepted.len())?;
        writeln!(f, "policies taken that OPA refuses: {:?}", self.lenient)?;
        let allows = self.differences.iter().filter(|difference| difference.ours == "true").count();
        write!(f, "{} answers differ, of which {allows} are true here", self.differences.len())
    }
}

// === impl Difference ===

impl Difference {
    /// The document that was asked for, below `data`.
    pub fn path(&self) -> String {
        self.case.queries.get(self.query).map(|path| path.join(".")).unwrap_or_default()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "=== {} ({:?}): data.{}", self.case.name, self.way, self.path())?;
        for module in &self.case.modules {
            writeln!(f, "--- {} ({:?})\n{}", module.path, module.dialect, module.text.trim_end())?;
        }
        let input = self.case.inputs.get(self.input).cloned().flatten();
        writeln!(f, "--- input: {}", input.as_deref().unwrap_or("none"))?;
        writeln!(f, "OPA:  {}\nours: {}", self.opa, self.ours)
    }
}

/// Builtins that are absent, each a reason of its own to refuse a policy.
const MISSING: [&str; 4] =
    ["opa.runtime", "strings.render_template", "json.match_schema", "json.verify_schema"];

/// The error that stands for a panic.
const PANIC: &str = "a panic";

fn ask(case: &Case, program: &Program, (input, query): (usize, usize), way: Way) -> Answer {
    let path: Vec<&str> = case.queries.get(query).into_iter().flatten().map(String::as_str).collect();
    let input = case.inputs.get(input).and_then(Option::as_deref);
    catch_unwind(AssertUnwindSafe(|| program.query(way, &path, input, case.now_ns)))
        .unwrap_or_else(|_| Answer::Error(PANIC.to_owned()))
}

fn difference(case: &Case, (input, query): (usize, usize), way: Way, opa: &str, ours: &str) -> Difference {
    Difference { case: case.clone(), input, query, way, opa: opa.to_owned(), ours: ours.to_owned() }
}

/// A reason without what is special to one case: the position, names and numbers.
fn kind_of(reason: &str) -> String {
    let first = reason.lines().next().unwrap_or_default();
    let mut kind = String::new();
    for (at, part) in without_position(first).split('`').enumerate() {
        if at % 2 == 1 {
            kind.push_str(if MISSING.contains(&part) { part } else { ".." });
        } else {
            kind.push_str(part);
        }
    }
    let is_number = |word: &str| word.contains(|char: char| char.is_ascii_digit());
    kind.split(' ').map(|word| if is_number(word) { ".." } else { word }).collect::<Vec<_>>().join(" ")
}

/// A reason without the `FILE:LINE:COLUMN: ` in front of it.
fn without_position(reason: &str) -> &str {
    match reason.split_once(": ") {
        Some((position, rest)) if position.ends_with(|char: char| char.is_ascii_digit()) => rest,
        _ => reason,
    }
}
