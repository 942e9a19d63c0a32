//! Sets.

use regorus::Value;

use super::operand::{mismatch, operands};
use super::{Builtin, Outcome, Surroundings};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("and", 2, and),
    Builtin::new("or", 2, or),
    Builtin::new("set_diff", 2, diff),
    Builtin::new("intersection", 1, intersection),
    Builtin::new("union", 1, union),
];

fn and(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [left, right] = operands(arguments)?;
    pay_for_both(surroundings, left, right)?;
    let Value::Set(first) = left else { return Err(mismatch(1, "set", left)) };
    let Value::Set(second) = right else { return Err(mismatch(2, "set", right)) };
    Ok(first.intersection(second).into_value())
}

fn or(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [left, right] = operands(arguments)?;
    pay_for_both(surroundings, left, right)?;
    let Value::Set(first) = left else { return Err(mismatch(1, "set", left)) };
    let Value::Set(second) = right else { return Err(mismatch(2, "set", right)) };
    Ok(first.union(second).into_value())
}

fn diff(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [left, right] = operands(arguments)?;
    pay_for_both(surroundings, left, right)?;
    let Value::Set(first) = left else { return Err(mismatch(1, "set", left)) };
    let Value::Set(second) = right else { return Err(mismatch(2, "set", right)) };
    Ok(first.difference(second).into_value())
}

fn pay_for_both(surroundings: &mut Surroundings, left: &Value, right: &Value) -> Result<(), super::Failure> {
    surroundings.work.weigh(left)?;
    surroundings.work.weigh(right)
}

fn intersection(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let Value::Set(sets) = value else { return Err(mismatch(1, "set", value)) };
    surroundings.work.weigh(value)?;
    let mut result: Option<Value> = None;
    for set in sets.iter() {
        let Value::Set(next) = set else { return Err(mismatch(1, "set", set)) };
        result = Some(match result {
            Some(Value::Set(common)) => common.intersection(next).into_value(),
            _ => set.clone(),
        });
    }
    Ok(result.unwrap_or_else(Value::new_set))
}

fn union(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [value] = operands(arguments)?;
    let Value::Set(sets) = value else { return Err(mismatch(1, "set", value)) };
    surroundings.work.weigh(value)?;
    let mut all = std::collections::BTreeSet::new();
    for set in sets.iter() {
        let Value::Set(next) = set else { return Err(mismatch(1, "set", set)) };
        all.extend(next.iter().cloned());
    }
    surroundings.work.spend(all.len() as u64)?;
    Ok(Value::from(all))
}
