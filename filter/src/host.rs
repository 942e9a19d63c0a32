//! The only file that calls Envoy.
//!
//! The SDK's own functions panic on statuses that they do not expect and on header values that are not UTF-8, and a
//! panic is a trap of the VM. Here every status is a value. Only HTTP calls go through the SDK, which must know their
//! tokens to bring the answers back.
//!
//! ABI: <https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1>

use std::{ptr::null_mut, time::Duration};

use hexr_authz_core::timestamp::Timestamp;
use proxy_wasm::hostcalls;

/// A status other than success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostError {
    /// There is no such thing.
    NotFound,
    /// Somebody else wrote the shared data first.
    CasMismatch,
    /// Anything else.
    Status(u32),
}

/// The severity of a line in Envoy's log.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum Level {
    Info = 2,
    Warn = 3,
    Error = 4,
}

/// A header map as the ABI passes it, read in place.
#[derive(Debug)]
pub(crate) struct HeaderMap(Vec<u8>);

/// A value of the shared data, and its version for compare-and-swap.
#[derive(Debug)]
pub(crate) struct SharedData {
    pub(crate) value: Vec<u8>,
    pub(crate) cas: u32,
}

/// A local reply.
#[derive(Debug)]
pub(crate) struct LocalResponse<'a> {
    pub(crate) status: u16,
    /// `None` where a gRPC caller should see what Envoy makes of `status`.
    pub(crate) grpc_status: Option<u32>,
    pub(crate) details: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
}

const HTTP_REQUEST_STREAM: u32 = 0;
const HTTP_REQUEST_BODY: u32 = 0;
const HTTP_REQUEST_HEADERS: u32 = 0;
const HTTP_REQUEST_TRAILERS: u32 = 1;
const HTTP_RESPONSE_HEADERS: u32 = 2;
/// What Envoy makes of the values of a metric.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum MetricKind {
    /// Their sum.
    Counter = 0,
    /// The last one.
    Gauge = 1,
    /// Their distribution.
    Histogram = 2,
}

const HTTP_CALL_RESPONSE_HEADERS: u32 = 6;
const HTTP_CALL_RESPONSE_BODY: u32 = 4;
const PLUGIN_CONFIGURATION: u32 = 7;
const NO_GRPC_STATUS: i32 = -1;

#[link(wasm_import_module = "env")]
#[expect(unsafe_code, reason = "the proxy-wasm ABI is C functions of the host")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_continue_stream(stream: u32) -> u32;
    fn proxy_get_buffer_bytes(
        kind: u32,
        start: usize,
        max: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        size: usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        size: usize,
    ) -> u32;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, path_size: usize, value: *const u8, size: usize) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(key: *const u8, key_size: usize, value: *const u8, size: usize, cas: u32)
    -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_get_metric(id: u32, value: *mut u64) -> u32;
    fn proxy_done() -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
}

#[cfg(target_os = "wasi")]
#[expect(unsafe_code, reason = "the linker's own function")]
unsafe extern "C" {
    fn __wasm_call_ctors();
}

/// Runs the constructors of the module's C library, which a reactor module does itself.
#[expect(unsafe_code, reason = "called once, first of all, as the linker's documentation wants it")]
pub(crate) fn run_constructors() {
    // SAFETY: `_initialize` is called once, before anything else of this module.
    #[cfg(target_os = "wasi")]
    unsafe {
        __wasm_call_ctors();
    }
}

fn checked(status: u32) -> Result<(), HostError> {
    match status {
        0 => Ok(()),
        1 => Err(HostError::NotFound),
        8 => Err(HostError::CasMismatch),
        other => Err(HostError::Status(other)),
    }
}

/// Makes keys for compare-and-swap. Envoy cannot create one if it is absent, but configures one VM alone before all others,
/// so that they are there when two could race for them.
pub(crate) fn seed_shared_data(keys: impl IntoIterator<Item = impl AsRef<str>>) -> Result<(), HostError> {
    for key in keys {
        if is_absent(key.as_ref()) {
            set_shared_data(key.as_ref(), &[], None)?;
        }
    }
    Ok(())
}

/// Whether no VM has set this key of the shared data yet.
pub(crate) fn is_absent(key: &str) -> bool {
    matches!(shared_data(key), Err(HostError::NotFound))
}

/// Calls a function that hands over memory which it had this module allocate.
#[expect(unsafe_code, reason = "takes back what `proxy_on_memory_allocate` gave")]
fn received(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>, HostError> {
    let (mut data, mut size) = (null_mut(), 0);
    checked(call(&raw mut data, &raw mut size))?;
    if data.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: the SDK's `proxy_on_memory_allocate` made `data` a boxed slice of exactly `size` bytes for this call.
    Ok(unsafe { Vec::from_raw_parts(data, size, size) })
}

/// Defines a metric; the same name gives the same metric of the process.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn define_metric(kind: MetricKind, name: &str) -> Result<u32, HostError> {
    let mut id = 0;
    // SAFETY: pointers are of live variables, with their lengths.
    checked(unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) })?;
    Ok(id)
}

/// Adds to a counter.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn add_to_metric(id: u32, count: i64) -> Result<(), HostError> {
    // SAFETY: takes numbers only.
    checked(unsafe { proxy_increment_metric(id, count) })
}

/// The value of a metric, whichever thread made it so.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn metric(id: u32) -> Result<u64, HostError> {
    let mut value = 0;
    // SAFETY: the pointer is of a live variable.
    checked(unsafe { proxy_get_metric(id, &raw mut value) })?;
    Ok(value)
}

/// Records a value of a histogram.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn record_metric(id: u32, value: u64) -> Result<(), HostError> {
    // SAFETY: takes numbers only.
    checked(unsafe { proxy_record_metric(id, value) })
}

/// Writes a line to Envoy's log.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn log(level: Level, message: &str) {
    // SAFETY: pointer and length are of a live string. A line that cannot be written has nowhere to be reported.
    let _ = unsafe { proxy_log(level as u32, message.as_ptr(), message.len()) };
}

/// The instant now.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn now() -> Result<Timestamp, HostError> {
    let mut nanos = 0;
    // SAFETY: the pointer is to a live number.
    checked(unsafe { proxy_get_current_time_nanoseconds(&raw mut nanos) })?;
    i64::try_from(nanos).map(Timestamp::from_unix_nanos).map_err(|_| HostError::Status(0))
}

/// Has `on_tick` called every `period`.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn set_tick_period(period: Duration) -> Result<(), HostError> {
    let millis = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
    // SAFETY: takes a number.
    checked(unsafe { proxy_set_tick_period_milliseconds(millis) })
}

/// Lets a request go on that a callback has paused, with what Envoy holds back of it.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn continue_request() -> Result<(), HostError> {
    // SAFETY: takes a number.
    checked(unsafe { proxy_continue_stream(HTTP_REQUEST_STREAM) })
}

/// Makes the calls that follow, up to the end of this callback, about another request.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn turn_to(context: u32) -> Result<(), HostError> {
    // SAFETY: takes a number.
    checked(unsafe { proxy_set_effective_context(context) })
}

/// 16 to 4096 random bytes, from the system's generator.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), HostError> {
    getrandom::fill(bytes).map_err(|_| HostError::Status(0))
}

/// A variable of the VM's environment.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The plugin's configuration.
pub(crate) fn plugin_configuration() -> Result<Vec<u8>, HostError> {
    buffer(PLUGIN_CONFIGURATION, usize::MAX)
}

/// The headers of the request, pseudo-headers included.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn request_headers() -> Result<HeaderMap, HostError> {
    // SAFETY: `received` gives pointers to live variables.
    received(|data, size| unsafe { proxy_get_header_map_pairs(HTTP_REQUEST_HEADERS, data, size) })
        .map(HeaderMap)
}

/// What Envoy holds back of the request's body.
pub(crate) fn request_body() -> Result<Vec<u8>, HostError> {
    buffer(HTTP_REQUEST_BODY, usize::MAX)
}

/// Removes every value of a header of the request.
pub(crate) fn remove_request_header(name: &str) -> Result<(), HostError> {
    remove(HTTP_REQUEST_HEADERS, name)
}

/// The trailers of the request.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn request_trailers() -> Result<HeaderMap, HostError> {
    // SAFETY: `received` gives pointers to live variables.
    received(|data, size| unsafe { proxy_get_header_map_pairs(HTTP_REQUEST_TRAILERS, data, size) })
        .map(HeaderMap)
}

/// Removes every value of a trailer of the request.
pub(crate) fn remove_request_trailer(name: &str) -> Result<(), HostError> {
    remove(HTTP_REQUEST_TRAILERS, name)
}

#[expect(unsafe_code, reason = "host call")]
fn remove(map: u32, name: &str) -> Result<(), HostError> {
    // SAFETY: pointer and length are of a live string.
    checked(unsafe { proxy_remove_header_map_value(map, name.as_ptr(), name.len()) })
}

/// Sets a header of the request to this one value.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn replace_request_header(name: &str, value: &str) -> Result<(), HostError> {
    // SAFETY: pointers and lengths are of live strings.
    checked(unsafe {
        proxy_replace_header_map_value(
            HTTP_REQUEST_HEADERS,
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    })
}

/// Adds a value to a header of the request.
pub(crate) fn add_request_header(name: &str, value: &str) -> Result<(), HostError> {
    add(HTTP_REQUEST_HEADERS, name, value)
}

/// Adds a value to a header of the response.
pub(crate) fn add_response_header(name: &str, value: &str) -> Result<(), HostError> {
    add(HTTP_RESPONSE_HEADERS, name, value)
}

#[expect(unsafe_code, reason = "host call")]
fn add(map: u32, name: &str, value: &str) -> Result<(), HostError> {
    // SAFETY: pointers and lengths are of live strings.
    checked(unsafe {
        proxy_add_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

/// A property of the request, its connection, or the plugin. `path` is its segments with NUL between them.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn property(path: &str) -> Result<Vec<u8>, HostError> {
    // SAFETY: pointer and length are of a live string; `received` gives pointers to live variables.
    received(|data, size| unsafe { proxy_get_property(path.as_ptr(), path.len(), data, size) })
}

/// Sets a value in the request's filter state, under `wasm.NAME`.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn set_filter_state(name: &str, value: &str) -> Result<(), HostError> {
    // SAFETY: pointers and lengths are of live strings.
    checked(unsafe { proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

/// A value of the data that all VMs of this `vm_id` share.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn shared_data(key: &str) -> Result<SharedData, HostError> {
    let mut cas = 0;
    // SAFETY: pointers are to a live string and to live variables.
    let value = received(|data, size| unsafe {
        proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut cas)
    })?;
    Ok(SharedData { value, cas })
}

/// Sets a value of the shared data; with `cas` only if it still has that version.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn set_shared_data(key: &str, value: &[u8], cas: Option<u32>) -> Result<(), HostError> {
    // SAFETY: pointers and lengths are of live slices.
    checked(unsafe {
        proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas.unwrap_or_default())
    })
}

/// Tells Envoy that a root context which was not done when it was to end is done now.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn done() -> Result<(), HostError> {
    // SAFETY: takes nothing.
    checked(unsafe { proxy_done() })
}

/// Sends a request to a cluster. The answer comes as `on_http_call_response` with the returned token.
pub(crate) fn dispatch_http_call(
    cluster: &str,
    headers: Vec<(&str, &str)>,
    body: Option<&[u8]>,
    timeout: Duration,
) -> Result<u32, HostError> {
    hostcalls::dispatch_http_call(cluster, headers, body, Vec::new(), timeout)
        .map_err(|status| HostError::Status(status as u32))
}

/// The headers of the answer that has come. Must not be asked for when it came without any.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn call_response_headers() -> Result<HeaderMap, HostError> {
    // SAFETY: `received` gives pointers to live variables.
    received(|data, size| unsafe { proxy_get_header_map_pairs(HTTP_CALL_RESPONSE_HEADERS, data, size) })
        .map(HeaderMap)
}

/// The body of the answer that has come.
pub(crate) fn call_response_body(size: usize) -> Result<Vec<u8>, HostError> {
    buffer(HTTP_CALL_RESPONSE_BODY, size)
}

/// Answers the request here and now.
#[expect(unsafe_code, reason = "host call")]
pub(crate) fn send_local_response(response: &LocalResponse<'_>) -> Result<(), HostError> {
    let headers = serialized(response.headers);
    let grpc_status =
        response.grpc_status.and_then(|status| i32::try_from(status).ok()).unwrap_or(NO_GRPC_STATUS);
    // SAFETY: pointers and lengths are of live slices.
    checked(unsafe {
        proxy_send_local_response(
            u32::from(response.status),
            response.details.as_ptr(),
            response.details.len(),
            response.body.as_ptr(),
            response.body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc_status,
        )
    })
}

#[expect(unsafe_code, reason = "host call")]
fn buffer(kind: u32, max: usize) -> Result<Vec<u8>, HostError> {
    // SAFETY: `received` gives pointers to live variables.
    received(|data, size| unsafe { proxy_get_buffer_bytes(kind, 0, max, data, size) })
}

/// A header map in the ABI's form: a count, the lengths of all names and values, then all of them, NUL-terminated.
fn serialized(headers: &[(&str, &str)]) -> Vec<u8> {
    let number = |length: usize| u32::try_from(length).unwrap_or_default().to_le_bytes();
    let mut bytes = number(headers.len()).to_vec();
    for (name, value) in headers {
        bytes.extend(number(name.len()));
        bytes.extend(number(value.len()));
    }
    for text in headers.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend(text.as_bytes());
        bytes.push(0);
    }
    bytes
}

// === impl HeaderMap ===

impl HeaderMap {
    /// A map without headers.
    pub(crate) fn empty() -> Self {
        Self(Vec::new())
    }

    /// Names and values, in their order, duplicates included. A malformed map ends early.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (count, rest) = self.0.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
        let count = u32::from_le_bytes(*count) as usize;
        let (lengths, mut texts) = rest.split_at_checked(count.saturating_mul(8)).unwrap_or((&[], &[]));
        lengths.as_chunks::<8>().0.iter().map_while(move |[a, b, c, d, e, f, g, h]| {
            let mut text = |length: [u8; 4]| {
                let (text, rest) = texts.split_at_checked(u32::from_le_bytes(length) as usize)?;
                texts = rest.get(1..)?;
                Some(text)
            };
            Some((text([*a, *b, *c, *d])?, text([*e, *f, *g, *h])?))
        })
    }
}
