//! A filter as one writes it by hand, with proxy-wasm's SDK, for one rule: it reads the agent's SAN and all headers, decides
//! by `if`, and writes nothing.

use proxy_wasm::{
    hostcalls,
    traits::{Context, HttpContext},
    types::{Action, MapType},
};

struct ByHand;

impl Context for ByHand {}

impl HttpContext for ByHand {
    fn on_http_request_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        if is_allowed() {
            return Action::Continue;
        }
        // What Envoy does not take leaves the request paused.
        let _ = hostcalls::send_http_response(403, Vec::new(), Some(b"denied"));
        Action::Pause
    }
}

/// Researchers may query BigQuery.
fn is_allowed() -> bool {
    let path = vec!["connection", "uri_san_peer_certificate"];
    let (Ok(Some(san)), Ok(headers)) =
        (hostcalls::get_property(path), hostcalls::get_map(MapType::HttpRequestHeaders))
    else {
        return false;
    };
    let (mut method, mut host, mut path) = ("", "", "");
    for (name, value) in &headers {
        match name.as_str() {
            ":method" => method = value,
            ":authority" => host = value,
            ":path" => path = value,
            _ => {}
        }
    }
    if !san.starts_with(b"spiffe://hexr.cloud/agent/") || !san.ends_with(b"/researcher") {
        return false;
    }
    if method != "POST" || host != "bigquery.googleapis.com" {
        return false;
    }
    let project = path.strip_prefix("/bigquery/v2/projects/").and_then(|rest| rest.strip_suffix("/queries"));
    project.is_some_and(|project| !project.contains('/'))
}

#[cfg(target_os = "wasi")]
#[expect(unsafe_code, reason = "the linker's own function")]
unsafe extern "C" {
    fn __wasm_call_ctors();
}

/// Called by Envoy when the module is loaded.
#[expect(unsafe_code, reason = "an exported symbol, with the name that the proxy-wasm ABI gives it")]
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    // SAFETY: `_initialize` is called once, before anything else of this module.
    #[cfg(target_os = "wasi")]
    unsafe {
        __wasm_call_ctors();
    }
    proxy_wasm::set_http_context(|_, _| -> Box<dyn HttpContext> { Box::new(ByHand) });
}
