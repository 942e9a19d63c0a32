//! Why a rule has its value, in words.

use std::fmt::Write as _;

use hexr_authz_core::policy::{Came, Condition, DefinitionTrace, Fate, RuleTrace, Shown};
use serde_json::{Value as Json, json};

/// How many characters of a value are told.
const MAX_VALUE: usize = 160;

/// For reading.
pub(super) fn pretty(trace: &RuleTrace) -> String {
    let mut text = String::new();
    write_rule(trace, 0, &mut text);
    text
}

/// For programs; values are in Rego's own notation.
pub(super) fn json(trace: &RuleTrace) -> Json {
    let mut rule = json!({"rule": trace.rule});
    match &trace.value {
        Came::Value(value) => insert(&mut rule, "value", json!(value)),
        Came::Undefined => {}
        Came::Error => insert(&mut rule, "error", json!(true)),
    }
    if trace.is_cut {
        insert(&mut rule, "cut", json!(true));
        return rule;
    }
    let definitions = trace.definitions.iter().map(definition_json).collect();
    insert(&mut rule, "definitions", Json::Array(definitions));
    if trace.left_out > 0 {
        insert(&mut rule, "left_out", json!(trace.left_out));
    }
    rule
}

fn definition_json(definition: &DefinitionTrace) -> Json {
    let holds = matches!(definition.fate, Fate::Held(_));
    let mut told = json!({"file": definition.file, "line": definition.line, "holds": holds});
    if definition.is_default {
        insert(&mut told, "default", json!(true));
    }
    if let Fate::Failed(conditions) = &definition.fate {
        insert(&mut told, "conditions", conditions.iter().map(condition_json).collect());
    }
    told
}

fn condition_json(condition: &Condition) -> Json {
    let value = |shown: &Shown| {
        let mut told = json!({"text": shown.text});
        if let Some(value) = &shown.value {
            insert(&mut told, "value", json!(value));
        }
        told
    };
    let mut told = json!({
        "file": condition.file,
        "line": condition.line,
        "text": condition.text,
        "tried": condition.times,
        "values": condition.shown.iter().map(value).collect::<Vec<_>>(),
    });
    if !condition.because.is_empty() {
        insert(&mut told, "because", condition.because.iter().map(json).collect());
    }
    told
}

fn insert(object: &mut Json, key: &str, value: Json) {
    if let Json::Object(fields) = object {
        fields.insert(key.to_owned(), value);
    }
}

fn write_rule(trace: &RuleTrace, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    let came = match &trace.value {
        Came::Value(value) => format!("is {}", shortened(value)),
        Came::Undefined => "is undefined".to_owned(),
        Came::Error => "ends in an error".to_owned(),
    };
    // Writing to a text cannot fail.
    let _ = write!(text, "{indent}{} {came}", trace.rule);
    if trace.is_cut {
        text.push_str(" (told above)\n");
        return;
    }
    let holds = |definition: &DefinitionTrace| matches!(definition.fate, Fate::Held(_));
    let real = trace.definitions.iter().filter(|definition| !definition.is_default);
    let tried = real.clone().count() + trace.left_out;
    let _ = match (real.clone().any(holds), tried) {
        (true, _) | (false, 0) => writeln!(text, "."),
        (false, 1) => writeln!(text, ": its definition does not hold."),
        (false, tried) => writeln!(text, ": none of its {tried} definitions holds."),
    };
    for definition in &trace.definitions {
        write_definition(definition, depth + 1, text);
    }
    if trace.left_out > 0 {
        let _ = writeln!(text, "\n{indent}  {} more fail earlier than these.", trace.left_out);
    }
}

fn write_definition(definition: &DefinitionTrace, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    let place = format!("\n{indent}{}:{}", definition.file, definition.line);
    let _ = match &definition.fate {
        Fate::Held(_) if definition.is_default => writeln!(text, "{place} is the default, and applies."),
        Fate::Held(0) => writeln!(text, "{place} holds."),
        Fate::Held(number) => writeln!(text, "{place} holds by its `else` number {number}."),
        Fate::ForOthers => writeln!(text, "{place} is for other arguments."),
        Fate::Ended => writeln!(text, "{place} ends in the error."),
        Fate::Failed(conditions) => {
            for condition in conditions {
                let line = if condition.file == definition.file {
                    format!("line {}", condition.line)
                } else {
                    format!("{}:{}", condition.file, condition.line)
                };
                let tried = match condition.times {
                    0 | 1 => String::new(),
                    times => format!(" in each of {times} ways, the last of which is"),
                };
                let _ = writeln!(text, "{place} fails on {line}{tried}:");
                write_condition(condition, depth + 1, text);
            }
            Ok(())
        }
    };
}

fn write_condition(condition: &Condition, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    for line in condition.text.lines() {
        let _ = writeln!(text, "{indent}{}", line.trim_end());
    }
    for shown in &condition.shown {
        let told = shown.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let value = shown.value.as_deref().map_or_else(|| "undefined".to_owned(), shortened);
        let _ = writeln!(text, "{indent}  {told} is {value}");
    }
    for rule in &condition.because {
        text.push('\n');
        write_rule(rule, depth, text);
    }
}

fn shortened(value: &str) -> String {
    match value.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}...", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}
