//! A difference with less around it.

use serde_json::Value;

use super::{
    case::Case,
    comparison::{Difference, compare_all},
    oracle::Oracle,
};

/// The smallest case of the same difference that leaving out rules and expressions leads to.
///
/// # Errors
/// When OPA does not answer.
pub fn shrunk(difference: Difference, oracle: &Oracle) -> anyhow::Result<Difference> {
    let mut smallest = narrowed(&difference, oracle)?.unwrap_or(difference);
    loop {
        let candidates = smaller(&smallest.case);
        let (_, answers) = oracle.ask(&candidates)?;
        let found = candidates.iter().zip(&answers).find_map(|(candidate, answers)| {
            let tally = compare_all(std::slice::from_ref(candidate), std::slice::from_ref(answers));
            tally.differences.into_iter().find(|found| found.query == smallest.query)
        });
        match found {
            Some(found) => smallest = found,
            None => return Ok(smallest),
        }
    }
}

/// The same with one input and one query.
fn narrowed(difference: &Difference, oracle: &Oracle) -> anyhow::Result<Option<Difference>> {
    let mut case = difference.case.clone();
    case.inputs = difference.case.inputs.get(difference.input).cloned().into_iter().collect();
    case.queries = difference.case.queries.get(difference.query).cloned().into_iter().collect();
    let (_, answers) = oracle.ask(std::slice::from_ref(&case))?;
    Ok(compare_all(&[case], &answers).differences.into_iter().next())
}

/// The case with each module, rule, line of a body, or field of the input left out.
fn smaller(case: &Case) -> Vec<Case> {
    let mut cases = Vec::new();
    for text in case.inputs.iter().flatten() {
        let Ok(Value::Object(fields)) = serde_json::from_str(text) else { continue };
        for field in fields.keys() {
            let mut fewer = fields.clone();
            fewer.remove(field);
            cases.push(Case { inputs: vec![Some(Value::Object(fewer).to_string())], ..case.clone() });
        }
    }
    for at in 0..case.modules.len() {
        if case.modules.len() > 1 {
            let mut without = case.clone();
            without.modules.remove(at);
            cases.push(without);
        }
        let Some(module) = case.modules.get(at) else { continue };
        for text in smaller_texts(&module.text) {
            let mut without = case.clone();
            if let Some(module) = without.modules.get_mut(at) {
                module.text = text;
            }
            cases.push(without);
        }
    }
    cases
}

fn smaller_texts(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let starts_rule = |line: &str| !line.is_empty() && !line.starts_with(['\t', ' ', '}']);
    let mut texts = Vec::new();
    let without = |from: usize, to: usize| {
        let kept = lines.iter().enumerate().filter(|(at, _)| *at < from || *at >= to);
        kept.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    for (at, line) in lines.iter().enumerate() {
        if starts_rule(line) && !line.starts_with("package") {
            let length = lines.iter().skip(at + 1).take_while(|line| !starts_rule(line)).count() + 1;
            texts.push(without(at, at + length));
        }
    }
    for (at, line) in lines.iter().enumerate() {
        if line.starts_with(['\t', ' ']) || line.is_empty() {
            texts.push(without(at, at + 1));
        }
    }
    texts
}
