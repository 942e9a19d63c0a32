//! regorus' own two evaluators, used as their authors advise for many evaluations of one policy.

use std::sync::Arc;

use anyhow::Result;
use regorus::{
    CompiledPolicy, Engine, Value,
    languages::rego::compiler::Compiler,
    rvm::{program::Program, vm::RegoVM},
};

use crate::policies::Policy;

const ENTRY: &str = "data.p.allow";

/// The tree-walking interpreter.
pub(crate) struct Interpreter {
    engine: Engine,
    input: Value,
}

/// The virtual machine.
pub(crate) struct Machine {
    machine: RegoVM,
    input: Value,
}

fn engine(policy: &Policy) -> Result<Engine> {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(false);
    let length = regorus::PolicyLengthConfig {
        max_lines: std::num::NonZeroUsize::MAX,
        max_file_bytes: std::num::NonZeroUsize::MAX,
        ..Default::default()
    };
    engine.set_policy_length_config(length);
    engine.add_policy("policy.rego".to_owned(), policy.module.clone())?;
    engine.add_data(Value::from_json_str(&policy.data)?)?;
    Ok(engine)
}

// === impl Interpreter ===

impl Interpreter {
    pub(crate) fn new(policy: &Policy) -> Result<Self> {
        Ok(Self { engine: engine(policy)?, input: Value::from_json_str(&policy.input)? })
    }

    pub(crate) fn is_true(&mut self) -> Result<bool> {
        self.engine.set_input(self.input.clone());
        Ok(self.engine.eval_rule(ENTRY.to_owned())? == Value::Bool(true))
    }
}

// === impl Machine ===

impl Machine {
    pub(crate) fn new(policy: &Policy) -> Result<Self> {
        let compiled: CompiledPolicy = engine(policy)?.compile_with_entrypoint(&ENTRY.into())?;
        let program: Arc<Program> = Compiler::compile_from_policy(&compiled, &[ENTRY])?;
        let mut machine = RegoVM::new();
        machine.load_program(program);
        machine.set_max_instructions(1_000_000);
        machine.set_data(Value::from_json_str(&policy.data)?)?;
        Ok(Self { machine, input: Value::from_json_str(&policy.input)? })
    }

    pub(crate) fn is_true(&mut self) -> Result<bool> {
        self.machine.set_input(self.input.clone());
        Ok(self.machine.execute_entry_point_by_name(ENTRY)? == Value::Bool(true))
    }
}
