//! Globs as `gobwas/glob` reads them, matched in time of pattern by text.

use std::cell::RefCell;
use std::rc::Rc;

use regorus::Value;

use super::operand::{mismatch, operands, text};
use super::{Builtin, Failure, Outcome, Surroundings, Work};

pub(super) const BUILTINS: &[Builtin] =
    &[Builtin::new("glob.match", 3, glob_match), Builtin::new("glob.quote_meta", 1, quote_meta)];

/// Compiled patterns that a thread keeps.
const MOST_KEPT: usize = 64;

thread_local! {
    static KEPT: RefCell<Vec<(String, Rc<Glob>)>> = const { RefCell::new(Vec::new()) };
}

/// A program: each step goes on to others, having taken a character or none.
struct Glob {
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    /// Takes one character of a kind, and goes on to the next step.
    Take(Kind),
    /// Goes on to these steps without taking any.
    Jump(Vec<usize>),
    /// The whole text has been matched, if it is at its end.
    Done,
}

#[derive(Clone, Debug)]
enum Kind {
    Literal(char),
    Any,
    AnyBut(Vec<char>),
    Range { low: char, high: char, not: bool },
    Set { chars: Vec<char>, not: bool },
}

/// The groups that are open while a pattern is read.
struct Group {
    /// Where to jump to the alternatives from.
    entry: usize,
    /// Where the alternatives begin, and where they end and jump out from.
    starts: Vec<usize>,
    ends: Vec<usize>,
}

fn glob_match(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [pattern, delimiters, subject] = operands(arguments)?;
    let pattern = text(pattern, 1)?;
    let delimiters = match delimiters {
        Value::Null => Vec::new(),
        Value::Array(items) if items.is_empty() => vec!['.'],
        Value::Array(items) => {
            surroundings.work.spend_on(items.len())?;
            items.iter().map(delimiter).collect::<Result<_, _>>()?
        }
        Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Set(_)
        | Value::Object(_)
        | Value::Undefined => return Err(mismatch(2, "one of {array, null}", delimiters)),
    };
    let subject = text(subject, 3)?;
    let work = &mut surroundings.work;
    let glob = compiled(pattern, &delimiters, work)?;
    glob.matches(subject, work).map(Value::from)
}

#[cfg(test)]
pub(super) fn is_glob(pattern: &str) -> bool {
    Glob::compile(pattern, &[]).is_some()
}

fn delimiter(value: &Value) -> Result<char, Failure> {
    let text = text(value, 2)?;
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(char), None) => Ok(char),
        _ => Err(Failure::undefined("operand 2 must be array of runes")),
    }
}

fn compiled(pattern: &str, delimiters: &[char], work: &mut Work) -> Result<Rc<Glob>, Failure> {
    let key: String = pattern.chars().chain(['\0']).chain(delimiters.iter().copied()).collect();
    work.spend_on_text(key.len())?;
    let kept =
        KEPT.with_borrow(|kept| kept.iter().find(|(kept, _)| *kept == key).map(|(_, glob)| Rc::clone(glob)));
    if let Some(glob) = kept {
        return Ok(glob);
    }
    work.spend(20 + pattern.len() as u64 * 2)?;
    let glob = Glob::compile(pattern, delimiters)
        .ok_or_else(|| Failure::undefined(format!("`{pattern}` is no glob")))?;
    let glob = Rc::new(glob);
    KEPT.with_borrow_mut(|kept| {
        if kept.len() >= MOST_KEPT {
            kept.remove(0);
        }
        kept.push((key, Rc::clone(&glob)));
    });
    Ok(glob)
}

// === impl Glob ===

impl Glob {
    /// Reads a pattern; none for what is no glob.
    fn compile(pattern: &str, delimiters: &[char]) -> Option<Self> {
        let mut steps = Vec::new();
        let mut groups: Vec<Group> = Vec::new();
        let mut rest = pattern.chars();
        while let Some(char) = rest.next() {
            match char {
                '{' => {
                    groups.push(Group {
                        entry: steps.len(),
                        starts: vec![steps.len() + 1],
                        ends: Vec::new(),
                    });
                    steps.push(Step::Jump(Vec::new()));
                }
                ',' if !groups.is_empty() => {
                    let group = groups.last_mut()?;
                    group.ends.push(steps.len());
                    steps.push(Step::Jump(Vec::new()));
                    group.starts.push(steps.len());
                }
                '}' if !groups.is_empty() => {
                    let group = groups.pop()?;
                    let after = steps.len();
                    *steps.get_mut(group.entry)? = Step::Jump(group.starts);
                    for end in group.ends {
                        *steps.get_mut(end)? = Step::Jump(vec![after]);
                    }
                }
                '[' => steps.push(Step::Take(class(&mut rest)?)),
                '?' => steps.push(Step::Take(any_but(delimiters))),
                '*' => {
                    let mut ahead = rest.clone();
                    let kind = if ahead.next() == Some('*') {
                        rest = ahead;
                        Kind::Any
                    } else {
                        any_but(delimiters)
                    };
                    // Goes on, or takes one and comes back.
                    let here = steps.len();
                    steps.extend([
                        Step::Jump(vec![here + 1, here + 3]),
                        Step::Take(kind),
                        Step::Jump(vec![here]),
                    ]);
                }
                '\\' => steps.push(Step::Take(Kind::Literal(rest.next()?))),
                char => steps.push(Step::Take(Kind::Literal(char))),
            }
        }
        steps.push(Step::Done);
        groups.is_empty().then_some(Self { steps })
    }

    fn matches(&self, text: &str, work: &mut Work) -> Result<bool, Failure> {
        work.spend_on(text.len().saturating_mul(self.steps.len()))?;
        let mut active = Vec::new();
        let mut seen = vec![usize::MAX; self.steps.len()];
        self.enter(0, 0, &mut active, &mut seen);
        for (at, char) in text.chars().enumerate() {
            let mut next = Vec::new();
            for step in active {
                if let Some(Step::Take(kind)) = self.steps.get(step)
                    && kind.takes(char)
                {
                    self.enter(step + 1, at + 1, &mut next, &mut seen);
                }
            }
            if next.is_empty() {
                return Ok(false);
            }
            active = next;
        }
        Ok(active.into_iter().any(|step| matches!(self.steps.get(step), Some(Step::Done))))
    }

    /// Follows jumps to the steps that take something. `seen` holds where each step was entered last.
    fn enter(&self, step: usize, at: usize, active: &mut Vec<usize>, seen: &mut [usize]) {
        let mut pending = vec![step];
        while let Some(step) = pending.pop() {
            let Some(last) = seen.get_mut(step) else { continue };
            if std::mem::replace(last, at) == at {
                continue;
            }
            match self.steps.get(step) {
                Some(Step::Jump(steps)) => pending.extend(steps),
                Some(Step::Take(_) | Step::Done) => active.push(step),
                None => {}
            }
        }
    }
}

// === impl Kind ===

impl Kind {
    fn takes(&self, char: char) -> bool {
        match self {
            Self::Literal(literal) => *literal == char,
            Self::Any => true,
            Self::AnyBut(chars) => !chars.contains(&char),
            Self::Range { low, high, not } => (*low..=*high).contains(&char) != *not,
            Self::Set { chars, not } => chars.contains(&char) != *not,
        }
    }
}

fn any_but(delimiters: &[char]) -> Kind {
    if delimiters.is_empty() { Kind::Any } else { Kind::AnyBut(delimiters.to_vec()) }
}

/// Reads a class behind its `[`: a range, or a set of characters, where a backslash keeps the next one as it is.
fn class(rest: &mut std::str::Chars<'_>) -> Option<Kind> {
    let mut first = rest.next()?;
    let not = first == '!';
    if not {
        first = rest.next()?;
    }
    if rest.clone().next() == Some('-') {
        rest.next();
        let high = rest.next()?;
        return (rest.next()? == ']' && first <= high).then_some(Kind::Range { low: first, high, not });
    }
    let mut chars = Vec::new();
    let mut next = first;
    loop {
        match next {
            ']' => break,
            '\\' => chars.push(rest.next()?),
            char => chars.push(char),
        }
        next = rest.next()?;
    }
    (!chars.is_empty()).then_some(Kind::Set { chars, not })
}

fn quote_meta(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let text = text(value, 1)?;
    surroundings.work.spend_on_new_text(text.len() * 2)?;
    let mut quoted = String::new();
    for char in text.chars() {
        if matches!(char, '*' | '?' | '\\' | '[' | ']' | '{' | '}') {
            quoted.push('\\');
        }
        quoted.push(char);
    }
    Ok(Value::from(quoted))
}
