//! Wasm filters without anything of their own: one that does nothing, and one that has Envoy do all that ours has it do for
//! a request that is allowed. What ours costs beyond the second is what it thinks.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use integration::measure::{load::Protocol, subject::Subject};

/// What a function of the ABI is called with.
#[derive(Clone, Copy)]
enum Argument {
    /// A place in memory, and a length.
    Text(&'static str),
    Number(u32),
    Wide(u64),
    /// The number at a place in memory.
    Loaded(u32),
}

use Argument::{Loaded, Number, Text, Wide};

/// Once, for metrics of which the numbers are kept.
const METRICS: [(&str, &[Argument]); 3] = [
    ("proxy_define_metric", &[Number(0), Text("peer_decisions"), Number(32)]),
    ("proxy_define_metric", &[Number(2), Text("peer_durations"), Number(36)]),
    ("proxy_define_metric", &[Number(2), Text("peer_durations_in_all"), Number(40)]),
];

/// For a request, around what it sets.
const BEFORE: [(&str, &[Argument]); 4] = [
    ("proxy_get_header_map_pairs", &[Number(0), Number(16), Number(20)]),
    ("proxy_get_property", &[Text("connection\0sha256_peer_certificate_digest"), Number(16), Number(20)]),
    ("proxy_get_current_time_nanoseconds", &[Number(8)]),
    ("proxy_get_current_time_nanoseconds", &[Number(8)]),
];
const AFTER: [(&str, &[Argument]); 5] = [
    ("proxy_get_current_time_nanoseconds", &[Number(8)]),
    ("proxy_increment_metric", &[Loaded(32), Wide(1)]),
    ("proxy_record_metric", &[Loaded(36), Wide(20)]),
    ("proxy_record_metric", &[Loaded(40), Wide(20)]),
    ("proxy_set_property", &[Text("hexr_authz.duration_us"), Text("20")]),
];

const ID: &str = "0b4f9a5c-5f0e-4c6e-9d57-3b0c3a1f6a11";
/// The headers of the request that are set.
const HEADERS: [(&str, &str); 7] = [
    ("x-hexr-spiffe-id", "spiffe://hexr.cloud/agent/acme-corp/crew-0/researcher"),
    ("x-hexr-tenant", "acme-corp"),
    ("x-hexr-agent", "crew-0"),
    ("x-hexr-role", "researcher"),
    ("x-hexr-service", "gcp_bigquery"),
    ("x-hexr-action", "query"),
    ("x-hexr-decision-id", ID),
];
/// The filter state that is set.
const STATE: [(&str, &str); 5] = [
    ("hexr_authz.decision", "allow"),
    ("hexr_authz.service", "gcp_bigquery"),
    ("hexr_authz.action", "query"),
    ("hexr_authz.revision", "embedded"),
    ("hexr_authz.decision_id", ID),
];

/// The least that the proxy-wasm ABI 0.2.1 asks of a filter.
const LEAST: &str = r#"
  (memory (export "memory") 4)
  (global $next (mut i32) (i32.const 65536))
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "_initialize"))
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $next))
    (global.set $next (i32.add (global.get $next) (local.get $size)))
    (local.get $at))
  (func (export "proxy_on_context_create") (param i32 i32))
  (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
  (func (export "proxy_on_done") (param i32) (result i32) (i32.const 1))
  (func (export "proxy_on_log") (param i32))
  (func (export "proxy_on_delete") (param i32))
"#;

/// The filter that does nothing.
pub(crate) async fn no_op(workers: u32) -> Result<Subject> {
    let module = format!(
        r#"(module {LEAST}
             (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
             (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0)))"#
    );
    start(workers, &module).await
}

/// The filter that has done what ours has. What Envoy allocates in it lasts for a request.
pub(crate) async fn same_calls(workers: u32) -> Result<Subject> {
    let mut module = Module { end: 1024, ..Module::default() };
    let metrics: String = METRICS.map(|(name, arguments)| module.call(name, arguments)).concat();
    let mut calls = BEFORE.map(|(name, arguments)| module.call(name, arguments)).concat();
    for (name, value) in HEADERS {
        calls += &module.call("proxy_replace_header_map_value", &[Number(0), Text(name), Text(value)]);
    }
    for (name, value) in STATE {
        calls += &module.call("proxy_set_property", &[Text(name), Text(value)]);
    }
    calls += &AFTER.map(|(name, arguments)| module.call(name, arguments)).concat();
    let imports: String = module.imports.into_values().collect();
    let text = format!(
        r#"(module {imports} {LEAST} {}
             (func (export "proxy_on_configure") (param i32 i32) (result i32) {metrics} (i32.const 1))
             (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (global.set $next (i32.const 65536)) {calls} (i32.const 0))
             (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (i32.const 0))
             (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) (i32.const 0)))"#,
        module.data,
    );
    start(workers, &text).await
}

async fn start(workers: u32, module: &str) -> Result<Subject> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("filter.wasm");
    std::fs::write(&file, wat::parse_str(module)?)?;
    Ok(Subject::wasm(workers, &file).await?.with(folder))
}

/// What the calls of a module need: texts in its memory, and functions of Envoy.
#[derive(Default)]
struct Module {
    data: String,
    end: usize,
    imports: BTreeMap<&'static str, String>,
}

impl Module {
    fn call(&mut self, name: &'static str, arguments: &[Argument]) -> String {
        let (mut types, mut values) = (String::new(), String::new());
        for argument in arguments {
            let (kind, value) = match argument {
                Text(text) => {
                    let at = self.end;
                    self.data += &format!("(data (i32.const {at}) \"{}\")", text.replace('\0', "\\00"));
                    self.end += text.len();
                    ("i32 i32 ", format!("(i32.const {at}) (i32.const {})", text.len()))
                }
                Number(number) => ("i32 ", format!("(i32.const {number})")),
                Wide(number) => ("i64 ", format!("(i64.const {number})")),
                Loaded(at) => ("i32 ", format!("(i32.load (i32.const {at}))")),
            };
            types += kind;
            values += &value;
        }
        let import = format!(r#"(import "env" "{name}" (func ${name} (param {types}) (result i32)))"#);
        self.imports.insert(name, import);
        format!("(drop (call ${name} {values}))")
    }
}

/// Shows by Envoy's own trace that it calls both filters in the same way, and they it.
pub(crate) async fn check_calls(ours: &Subject, same_calls: &Subject) -> Result<()> {
    let (ours, others) = (calls(ours).await?, calls(same_calls).await?);
    ensure!(ours == others, "our filter and the one with its calls differ:\n{ours:#?}\n{others:#?}");
    Ok(())
}

/// What Envoy and its filter call of each other for a request.
async fn calls(subject: &Subject) -> Result<Vec<String>> {
    let envoy = &subject.stack.envoy;
    // The first request of a connection reads its certificate.
    let lanes = subject.lanes(1, Protocol::Http1).await?;
    envoy.log_at("wasm", "trace").await?;
    for _ in 0..100 {
        let before = envoy.log_lines("->").len();
        lanes.send(1).await?;
        let lines = envoy.log_lines("->");
        let name = |line: &String| Some(line.rsplit_once("] ")?.1.split_once('(')?.0.to_owned());
        let calls: Vec<String> = lines.iter().skip(before).filter_map(name).collect();
        let is_whole = calls.last().is_some_and(|last| last == "proxy_on_delete");
        // A tick has calls of its own.
        if is_whole && !calls.iter().any(|call| call == "proxy_on_tick") {
            envoy.log_at("wasm", "info").await?;
            return Ok(calls);
        }
    }
    bail!("Envoy traces no request by itself")
}
