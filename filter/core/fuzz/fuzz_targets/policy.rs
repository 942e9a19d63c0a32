//! A module and an input, apart by a NUL: parsed, compiled and evaluated with little work.

#![no_main]

use hexr_authz_core::policy::{Data, Library, Module, Question};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (module, input) = text.split_once('\0').unwrap_or((text, "{\"role\": \"editor\", \"n\": [1, \"é\", null]}"));
    let modules = [Module { path: "a.rego".to_owned(), text: module.to_owned(), dialect: None }];
    let Ok(library) = Library::compile(&modules, &Data::default()) else { return };
    for is_indexed in [true, false] {
        let question = Question { path: &[], input: Some(input), now_ns: 1, work: 50_000, is_indexed };
        let _ = library.ask(question);
    }
});
