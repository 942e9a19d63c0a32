//! Has a module count what it executes.
//!
//! Interpreters that meter charge for a block as a whole, whichever part of it is executed. Here every stretch of code that is
//! executed from its beginning to its end adds what it has to a global, which is read from outside. What only names a value
//! or a place costs nothing, as in the machine code that Envoy makes of it.

use anyhow::{Context as _, Result, anyhow};
use wasm_encoder::{
    CodeSection, ConstExpr, ExportKind, ExportSection, Function, GlobalSection, GlobalType, Instruction,
    Module, ValType,
    reencode::{Error, Reencode, utils},
};
use wasmparser::{FunctionBody, Parser, Payload, TypeRef};

/// The export that has the count.
pub(super) const COUNT: &str = "operators";

/// As many bytes as one operator copies.
const BYTES_AN_OPERATOR: i64 = 16;

struct Meter {
    /// The index of the global that counts.
    count: u32,
    /// The index of the global that keeps the length of what is copied.
    length: u32,
}

/// The same module, which counts in its export [`COUNT`].
///
/// # Errors
/// When it is no module, or has no globals.
pub(super) fn metered(wasm: &[u8]) -> Result<Vec<u8>> {
    let count = globals(wasm)?;
    let mut module = Module::new();
    let mut meter = Meter { count, length: count + 1 };
    meter.parse_core_module(&mut module, Parser::new(0), wasm).map_err(|error| anyhow!("{error}"))?;
    Ok(module.finish())
}

/// How many globals a module has.
fn globals(wasm: &[u8]) -> Result<u32> {
    let (mut imported, mut own) = (0, None);
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        if let Payload::ImportSection(imports) = payload {
            for import in imports.into_imports() {
                imported += u32::from(matches!(import?.ty, TypeRef::Global(_)));
            }
        } else if let Payload::GlobalSection(globals) = payload {
            own = Some(globals.count());
        }
    }
    Ok(imported + own.context("the module has no globals")?)
}

impl Reencode for Meter {
    type Error = std::convert::Infallible;

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: wasmparser::GlobalSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        utils::parse_global_section(self, globals, section)?;
        let global = |val_type| GlobalType { val_type, mutable: true, shared: false };
        globals.global(global(ValType::I64), &ConstExpr::i64_const(0));
        globals.global(global(ValType::I32), &ConstExpr::i32_const(0));
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        utils::parse_export_section(self, exports, section)?;
        exports.export(COUNT, ExportKind::Global, self.count);
        Ok(())
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<(), Error<Self::Error>> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        let mut operators = body.get_operators_reader()?;
        let mut stretch = Vec::new();
        while !operators.eof() {
            let instruction = self.parse_instruction(&mut operators)?;
            let is_end = ends_a_stretch(&instruction);
            stretch.push(instruction);
            if is_end || operators.eof() {
                self.write(&mut function, &stretch);
                stretch.clear();
            }
        }
        code.function(&function);
        Ok(())
    }

    /// What debuggers read, of code that is not this any more.
    fn parse_custom_section(
        &mut self,
        _module: &mut Module,
        _section: wasmparser::CustomSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        Ok(())
    }
}

// === impl Meter ===

impl Meter {
    fn write(&self, function: &mut Function, stretch: &[Instruction<'_>]) {
        let cost: i64 = stretch.iter().map(cost).sum();
        if cost > 0 {
            self.add(function, |function| {
                function.instruction(&Instruction::I64Const(cost));
            });
        }
        for instruction in stretch {
            if matches!(instruction, Instruction::MemoryCopy { .. } | Instruction::MemoryFill(_)) {
                // The length is on top of the stack.
                function.instruction(&Instruction::GlobalSet(self.length));
                self.add(function, |function| {
                    function
                        .instruction(&Instruction::GlobalGet(self.length))
                        .instruction(&Instruction::I64ExtendI32U)
                        .instruction(&Instruction::I64Const(BYTES_AN_OPERATOR))
                        .instruction(&Instruction::I64DivU);
                });
                function.instruction(&Instruction::GlobalGet(self.length));
            }
            function.instruction(instruction);
        }
    }

    fn add(&self, function: &mut Function, number: impl FnOnce(&mut Function)) {
        function.instruction(&Instruction::GlobalGet(self.count));
        number(function);
        function.instruction(&Instruction::I64Add).instruction(&Instruction::GlobalSet(self.count));
    }
}

/// Whether what follows may be executed without what stands before it, or the other way round.
fn ends_a_stretch(instruction: &Instruction<'_>) -> bool {
    matches!(
        instruction,
        Instruction::Loop(_)
            | Instruction::If(_)
            | Instruction::Else
            | Instruction::End
            | Instruction::Br(_)
            | Instruction::BrIf(_)
            | Instruction::BrTable(..)
            | Instruction::Return
            | Instruction::Unreachable
            | Instruction::Call(_)
            | Instruction::CallIndirect { .. }
    )
}

fn cost(instruction: &Instruction<'_>) -> i64 {
    let only_names = matches!(
        instruction,
        Instruction::Nop
            | Instruction::Block(_)
            | Instruction::Loop(_)
            | Instruction::Else
            | Instruction::End
            | Instruction::Drop
            | Instruction::LocalGet(_)
            | Instruction::LocalSet(_)
            | Instruction::LocalTee(_)
            | Instruction::I32Const(_)
            | Instruction::I64Const(_)
            | Instruction::F32Const(_)
            | Instruction::F64Const(_)
    );
    i64::from(!only_names)
}

#[cfg(test)]
mod tests {
    use wasmi::{Engine, Linker, Store, Val};

    use super::*;

    /// What is counted of a call of the export `f`.
    #[track_caller]
    fn check(function: &str, argument: i32, expect: i64) {
        let text = format!("(module (memory 1) (global i32 (i32.const 0)) {function})");
        let engine = Engine::default();
        let module = wasmi::Module::new(&engine, metered(&wat::parse_str(text).unwrap()).unwrap()).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Linker::<()>::new(&engine).instantiate_and_start(&mut store, &module).unwrap();
        let f = instance.get_func(&store, "f").unwrap();
        f.call(&mut store, &[Val::I32(argument)], &mut []).unwrap();
        let count = instance.get_global(&store, COUNT).unwrap().get(&store);
        assert_eq!(count.i64(), Some(expect), "{function} with {argument}");
    }

    #[test]
    fn what_is_executed_is_counted_and_nothing_else() {
        let either = r#"(func (export "f") (param i32)
            (if (local.get 0) (then (drop (i32.add (local.get 0) (i32.const 1)))) (else nop)))"#;
        check(either, 1, 2);
        check(either, 0, 1);
        let early = r#"(func (export "f") (param i32)
            (block (br_if 0 (local.get 0)) (drop (i32.load (i32.load (i32.const 0))))))"#;
        check(early, 1, 1);
        check(early, 0, 3);
        let rounds = r#"(func (export "f") (param i32)
            (loop (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if 0 (local.get 0))))"#;
        check(rounds, 1, 2);
        check(rounds, 7, 14);
        let calls = r#"(func $g (result i32) (i32.load (i32.const 0)))
            (func (export "f") (param i32) (drop (call $g)) (drop (call $g)))"#;
        check(calls, 0, 4);
    }

    #[test]
    fn a_copy_costs_by_its_length() {
        let copy = r#"(func (export "f") (param i32)
            (memory.copy (i32.const 0) (i32.const 100) (local.get 0)))"#;
        check(copy, 0, 1);
        check(copy, 160, 11);
        let fill =
            r#"(func (export "f") (param i32) (memory.fill (i32.const 0) (i32.const 1) (local.get 0)))"#;
        check(fill, 15, 1);
        check(fill, 64, 5);
    }
}
