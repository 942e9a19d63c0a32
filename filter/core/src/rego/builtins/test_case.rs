//! What parameterised tests are counted by.

use regorus::Value;

use super::operand::operands;
use super::{Builtin, Outcome, Surroundings};

/// OPA's name for it. Tests may call it themselves.
pub(in crate::rego) const TEST_CASE: &str = "internal.test_case";

pub(super) const BUILTINS: &[Builtin] = &[Builtin::new(TEST_CASE, 1, test_case)];

/// Notes that a case of a test begins. What it comes to stands in the test's value; a case that is not there has failed.
fn test_case(surroundings: &mut Surroundings, arguments: &[Value]) -> Outcome {
    let [name] = operands(arguments)?;
    surroundings.work.weigh(name)?;
    surroundings.test_cases.push(name.clone());
    Ok(Value::Bool(true))
}
