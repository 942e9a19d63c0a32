//! The evaluator of Rego.

pub(crate) mod builtins;
pub(crate) mod order;
