//! Regular expressions, in Go's meaning.

use std::cell::RefCell;
use std::rc::Rc;

use ::regex::{Captures, Regex, RegexBuilder};
use regorus::Value;

use super::operand::{integer, operands, text};
use super::regex_dialect::{Pattern, Reading, read};
use super::{Builtin, Failure, Outcome, Surroundings, Work};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("regex.match", 2, regex_match),
    Builtin::new("re_match", 2, regex_match),
    Builtin::new("regex.is_valid", 1, is_valid),
    Builtin::new("regex.split", 2, split),
    Builtin::new("regex.find_n", 3, find_n),
    Builtin::new("regex.find_all_string_submatch_n", 3, find_submatches),
    Builtin::new("regex.replace", 3, replace),
    Builtin::new("regex.template_match", 4, template_match),
];

/// Compiled patterns that a thread keeps.
const MOST_KEPT: usize = 64;

/// How large a compiled pattern may be, in bytes.
const MOST_BYTES: usize = 1 << 19;

/// What a pattern may keep to search faster, in bytes.
const MOST_CACHED_BYTES: usize = 1 << 17;

thread_local! {
    static KEPT: RefCell<Vec<(String, Rc<Compiled>)>> = const { RefCell::new(Vec::new()) };
}

struct Compiled {
    regex: Regex,
    /// What all its positions agree on with Go, and not only whether it matches.
    is_exact: bool,
    size: u64,
}

fn compiled(pattern: &str, exactly: bool, work: &mut Work) -> Result<Rc<Compiled>, Failure> {
    work.spend_on_text(pattern.len())?;
    let kept = KEPT
        .with_borrow(|kept| kept.iter().find(|(kept, _)| kept == pattern).map(|(_, regex)| Rc::clone(regex)));
    let found = match kept {
        Some(found) => found,
        None => {
            let found = Rc::new(compile(pattern, work)?);
            KEPT.with_borrow_mut(|kept| {
                if kept.len() >= MOST_KEPT {
                    kept.remove(0);
                }
                kept.push((pattern.to_owned(), Rc::clone(&found)));
            });
            found
        }
    };
    if exactly && !found.is_exact {
        return Err(Failure::fatal(format!(
            "`{pattern}` repeats what may be empty: only regex.match knows it"
        )));
    }
    Ok(found)
}

fn compile(pattern: &str, work: &mut Work) -> Result<Compiled, Failure> {
    work.spend(100 + pattern.len() as u64 * 2)?;
    match read(pattern) {
        Reading::Common(Pattern { text, size, is_exact }) => {
            work.spend(1_000 + size.saturating_mul(40))?;
            let regex = RegexBuilder::new(&text)
                .size_limit(MOST_BYTES)
                .dfa_size_limit(MOST_CACHED_BYTES)
                .build()
                .map_err(|_| Failure::fatal(format!("`{pattern}` is too large")))?;
            Ok(Compiled { regex, is_exact, size })
        }
        Reading::Invalid => Err(Failure::undefined(format!("`{pattern}` is no regular expression"))),
        Reading::Unknown => Err(Failure::fatal(format!(
            "`{pattern}` may mean something else to OPA: write it in plainer terms"
        ))),
    }
}

// === impl Compiled ===

impl Compiled {
    /// Pays for a search, which is linear in the text, and in the pattern at worst.
    fn pay(&self, subject: &str, work: &mut Work) -> Result<(), Failure> {
        work.spend(4 + (subject.len() as u64).saturating_mul(1 + self.size / 16) / 8)
    }
}

fn regex_match(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [pattern, subject] = operands(arguments)?;
    let (pattern, subject) = (text(pattern, 1)?, text(subject, 2)?);
    let work = &mut surroundings.work;
    let compiled = compiled(pattern, false, work)?;
    compiled.pay(subject, work)?;
    Ok(Value::from(compiled.regex.is_match(subject)))
}

fn is_valid(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [pattern] = operands(arguments)?;
    let Value::String(pattern) = pattern else { return Ok(Value::from(false)) };
    surroundings.work.spend(100 + pattern.len() as u64 * 2)?;
    match read(pattern) {
        Reading::Common(_) => Ok(Value::from(true)),
        Reading::Invalid => Ok(Value::from(false)),
        Reading::Unknown => Err(Failure::fatal(format!("whether `{pattern}` is valid is not known here"))),
    }
}

fn split(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [pattern, subject] = operands(arguments)?;
    let (pattern, subject) = (text(pattern, 1)?, text(subject, 2)?);
    let work = &mut surroundings.work;
    let compiled = compiled(pattern, true, work)?;
    compiled.pay(subject, work)?;
    if subject.is_empty() && !pattern.is_empty() {
        return Ok(Value::from(vec![Value::from("")]));
    }
    let mut parts = Vec::new();
    let (mut begin, mut end) = (0, 0);
    for found in compiled.regex.find_iter(subject) {
        end = found.start();
        // An empty match at the start splits nothing.
        if found.end() != 0 {
            push_text(&mut parts, subject.get(begin..end).unwrap_or_default(), work)?;
        }
        begin = found.end();
    }
    if end != subject.len() {
        push_text(&mut parts, subject.get(begin..).unwrap_or_default(), work)?;
    }
    Ok(Value::from(parts))
}

fn push_text(parts: &mut Vec<Value>, text: &str, work: &mut Work) -> Result<(), Failure> {
    work.spend_on_new_text(text.len() + 32)?;
    parts.push(Value::from(text));
    Ok(())
}

/// How many matches are wanted: all for a negative number.
fn limit(count: i64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn find_n(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [pattern, subject, count] = operands(arguments)?;
    let (pattern, subject) = (text(pattern, 1)?, text(subject, 2)?);
    let count = integer(count, 3)?;
    let work = &mut surroundings.work;
    let compiled = compiled(pattern, true, work)?;
    compiled.pay(subject, work)?;
    let mut parts = Vec::new();
    for found in compiled.regex.find_iter(subject).take(limit(count)) {
        push_text(&mut parts, found.as_str(), work)?;
    }
    Ok(Value::from(parts))
}

fn find_submatches(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [pattern, subject, count] = operands(arguments)?;
    let (pattern, subject) = (text(pattern, 1)?, text(subject, 2)?);
    let count = integer(count, 3)?;
    let work = &mut surroundings.work;
    let compiled = compiled(pattern, true, work)?;
    compiled.pay(subject, work)?;
    compiled.pay(subject, work)?;
    let mut matches = Vec::new();
    for found in compiled.regex.captures_iter(subject).take(limit(count)) {
        let mut groups = Vec::new();
        for group in found.iter() {
            push_text(&mut groups, group.map_or("", |group| group.as_str()), work)?;
        }
        matches.push(Value::from(groups));
    }
    Ok(Value::from(matches))
}

fn replace(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [subject, pattern, template] = operands(arguments)?;
    let (subject, pattern, template) = (text(subject, 1)?, text(pattern, 2)?, text(template, 3)?);
    let work = &mut surroundings.work;
    let compiled = compiled(pattern, true, work)?;
    compiled.pay(subject, work)?;
    compiled.pay(subject, work)?;
    let mut out = String::new();
    let mut copied = 0;
    for found in compiled.regex.captures_iter(subject) {
        let Some(whole) = found.get(0) else { continue };
        let before = subject.get(copied..whole.start()).unwrap_or_default();
        work.spend_on_new_text(before.len())?;
        out.push_str(before);
        expand(template, &found, &mut out, work)?;
        copied = whole.end();
    }
    let tail = subject.get(copied..).unwrap_or_default();
    work.spend_on_new_text(tail.len())?;
    out.push_str(tail);
    Ok(Value::from(out))
}

/// Puts groups in the place of `$1`, `${1}`, `$name` and `${name}`, as long as the name goes.
fn expand(template: &str, found: &Captures<'_>, out: &mut String, work: &mut Work) -> Result<(), Failure> {
    work.spend_on_new_text(template.len())?;
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let Some((name, after)) = reference(after) else {
            out.push('$');
            rest = after;
            continue;
        };
        rest = after;
        let group = match name.parse::<usize>() {
            Ok(number) if name == "0" || !name.starts_with(['0', '+']) => found.get(number),
            Ok(_) | Err(_) => found.name(name),
        };
        if let Some(group) = group {
            work.spend_on_new_text(group.len())?;
            out.push_str(group.as_str());
        }
    }
    out.push_str(rest);
    Ok(())
}

/// The name of a group, and what follows it.
fn reference(text: &str) -> Option<(&str, &str)> {
    let is_name = |char: char| char.is_alphanumeric() || char == '_';
    let (braced, text) = text.strip_prefix('{').map_or((false, text), |text| (true, text));
    let end = text.find(|char| !is_name(char)).unwrap_or(text.len());
    let (name, after) = text.split_at_checked(end).filter(|(name, _)| !name.is_empty())?;
    if braced { Some((name, after.strip_prefix('}')?)) } else { Some((name, after)) }
}

/// Matches a template, whose parts between delimiters are regular expressions.
fn template_match(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [template, subject, start, end] = operands(arguments)?;
    let (template, subject) = (text(template, 1)?, text(subject, 2)?);
    let (start, end) = (text(start, 3)?, text(end, 4)?);
    let (&[start], &[end]) = (start.as_bytes(), end.as_bytes()) else {
        return Err(Failure::undefined("a delimiter has to be exactly one character long"));
    };
    let work = &mut surroundings.work;
    work.spend_on_new_text(template.len() * 4)?;
    let pattern = template_pattern(template, start, end, work)?;
    let compiled = compiled(&pattern, false, work)?;
    compiled.pay(subject, work)?;
    Ok(Value::from(compiled.regex.is_match(subject)))
}

fn template_pattern(template: &str, start: u8, end: u8, work: &mut Work) -> Result<String, Failure> {
    let unbalanced = || Failure::undefined("unbalanced braces in the template");
    let mut pattern = String::from("^");
    let (mut level, mut opened, mut copied) = (0_usize, 0, 0);
    for (at, byte) in template.bytes().enumerate() {
        if byte == start {
            level += 1;
            if level == 1 {
                opened = at;
            }
        } else if byte == end {
            level = level.checked_sub(1).ok_or_else(unbalanced)?;
            if level == 0 {
                let literal = template.get(copied..opened).unwrap_or_default();
                let inner = template.get(opened + 1..at).unwrap_or_default();
                // Each must be a pattern by itself.
                compiled(&format!("^{inner}$"), false, work)?;
                pattern.push_str(&format!("{}({inner})", quoted(literal)));
                copied = at + 1;
            }
        }
    }
    if level != 0 {
        return Err(unbalanced());
    }
    pattern.push_str(&quoted(template.get(copied..).unwrap_or_default()));
    pattern.push('$');
    Ok(pattern)
}

fn quoted(literal: &str) -> String {
    let mut quoted = String::new();
    for char in literal.chars() {
        if r"\.+*?()|[]{}^$".contains(char) {
            quoted.push('\\');
        }
        quoted.push(char);
    }
    quoted
}
