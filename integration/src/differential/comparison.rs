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
    /// Policies that OPA refuses too.
    pub both_refuse: usize,
    /// Policies that we refuse and OPA takes, with our reasons.
    pub refused: Vec<(String, String)>,
    /// Policies that we take and OPA refuses, by the kind of OPA's refusal.
    pub lenient: BTreeMap<String, usize>,
    /// Answers that are not the same.
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
            (Ok(Err(reason)), Answers::Given(_)) => self.refused.push((case.name.clone(), reason)),
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
        if !matches!(kind, "unsafe" | "recursion" | "conflict" | "undefined_function") {
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
            (Answer::Value(opa), Answer::Value(ours)) if opa != ours => {
                if with_plain_numbers(opa) == with_plain_numbers(ours) {
                    self.spelling.push(difference(case, at, way, opa, ours));
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
        self.differences.push(difference(case, at, way, opa, ours));
    }

    fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.same += other.same;
        self.values += other.values;
        self.errors += other.errors;
        self.spelling.extend(other.spelling);
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
        writeln!(f, "{} policies are refused by both, {} only here", self.both_refuse, self.refused.len())?;
        writeln!(f, "policies taken that OPA refuses: {:?}", self.lenient)?;
        let allows = self.differences.iter().filter(|difference| difference.ours == "true").count();
        write!(f, "{} answers differ, of which {allows} are true here", self.differences.len())
    }
}

// === impl Difference ===

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = self.case.queries.get(self.query).map(|path| path.join(".")).unwrap_or_default();
        writeln!(f, "=== {} ({:?}): data.{query}", self.case.name, self.way)?;
        for module in &self.case.modules {
            writeln!(f, "--- {} ({:?})\n{}", module.path, module.dialect, module.text.trim_end())?;
        }
        let input = self.case.inputs.get(self.input).cloned().flatten();
        writeln!(f, "--- input: {}", input.as_deref().unwrap_or("none"))?;
        writeln!(f, "OPA:  {}\nours: {}", self.opa, self.ours)
    }
}

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

/// Canonical text with every number outside of strings in one spelling.
fn with_plain_numbers(text: &str) -> String {
    let mut plain = String::new();
    let mut number = String::new();
    let (mut in_string, mut escaped) = (false, false);
    for char in text.chars().chain(['\0']) {
        if !in_string
            && (char.is_ascii_digit() || matches!(char, '-' | '+' | '.' | 'e' | 'E'))
            && (char != 'e' || !number.is_empty())
        {
            number.push(char);
            continue;
        }
        if !number.is_empty() {
            plain.push_str(&plain_number(&number));
            number.clear();
        }
        plain.push(char);
        match char {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
    }
    plain
}

/// A number as its digits without zeros at either end, and the power of ten of its first digit.
fn plain_number(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let (mantissa, exponent) = lower.split_once('e').unwrap_or((lower.as_str(), "0"));
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let Ok(exponent) = exponent.trim_start_matches('+').parse::<i64>() else { return text.to_owned() };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    let leading = digits.len() - significant.len();
    let significant = significant.trim_end_matches('0');
    if significant.is_empty() {
        return "0".to_owned();
    }
    let at = |length: usize| i64::try_from(length).unwrap_or_default();
    format!("{sign}{significant}^{}", exponent + at(whole.len()) - at(leading))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(one: &str, other: &str, expect: bool) {
        assert_eq!(with_plain_numbers(one) == with_plain_numbers(other), expect, "{one} {other}");
    }

    #[test]
    fn spellings_of_one_number() {
        check("1", "1.0", true);
        check("{\"a\": [1e2, -0.50]}", "{\"a\": [100, -5e-1]}", true);
        check("0", "-0.0", true);
        check("1", "10", false);
        check("0.1", "0.01", false);
        check("-1", "1", false);
        check("\"1.0\"", "\"1\"", false);
        check("\"a\\\"1.0\"", "\"a\\\"1\"", false);
        check("true", "false", false);
        check("null", "set()", false);
    }
}
