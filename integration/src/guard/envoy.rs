//! A scripted Envoy: what the filter asks of its host, and what the host says.
//!
//! ABI: <https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1>, and what of WASI the filter imports.

use std::collections::BTreeMap;

use wasmi::{Caller, Error, Extern, Memory, Val};

use super::meter;

/// Consecutive calls of one function of the host.
#[derive(Clone, Debug)]
pub struct Step {
    /// The function; [`RETURN`] for what follows the last one.
    pub name: String,
    /// How many calls; none for [`RETURN`].
    pub calls: u64,
    /// The operators that the filter executed before them, since the step before.
    pub operators: u64,
}

/// What the host says to the filter, and what it heard.
#[derive(Debug, Default)]
pub struct Envoy {
    configuration: Vec<u8>,
    pub(super) properties: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Nanoseconds since 1970. A look at the clock takes a microsecond.
    pub(super) now: u64,
    steps: Vec<Step>,
    /// What the filter had executed at the end of the last step.
    executed: u64,
    /// The status of its own reply.
    pub(super) replied: Option<u32>,
    /// Its log.
    pub(super) lines: Vec<String>,
    shared: BTreeMap<Vec<u8>, (Vec<u8>, u32)>,
    versions: u32,
    metrics: u32,
    random: u64,
}

/// The end of a callback.
pub const RETURN: &str = "(return)";

const OK: u32 = 0;
const NOT_FOUND: u32 = 1;
const CAS_MISMATCH: u32 = 8;
const REQUEST_BODY: u64 = 0;
const PLUGIN_CONFIGURATION: u64 = 7;
const REQUEST_HEADERS: u64 = 0;

/// Answers one call of the host, and notes it.
pub(super) fn answer(mut caller: Caller<'_, Envoy>, name: &str, arguments: &[Val]) -> Result<u32, Error> {
    let executed = caller.get_export(meter::COUNT).and_then(Extern::into_global);
    let executed = executed.map(|global| count(&global.get(&caller))).unwrap_or_default();
    caller.data_mut().note(name, executed);
    let arguments: Vec<u64> = arguments.iter().map(number).collect();
    let mut guest = Guest { memory: memory(&caller)?, caller };
    match (name, arguments.as_slice()) {
        ("proxy_log", [_, text, size]) => {
            let line = String::from_utf8_lossy(&guest.bytes(*text, *size)?).into_owned();
            guest.caller.data_mut().lines.push(line);
            Ok(OK)
        }
        ("proxy_get_current_time_nanoseconds", [to]) | ("clock_time_get", [_, _, to]) => {
            let now = guest.caller.data_mut().look_at_the_clock();
            guest.write(*to, &now.to_le_bytes())?;
            Ok(OK)
        }
        ("proxy_get_property", [path, size, data, length]) => {
            let path = guest.bytes(*path, *size)?;
            let value = guest.caller.data().properties.get(&path).cloned();
            guest.give(value, *data, *length)
        }
        ("proxy_get_header_map_pairs", [REQUEST_HEADERS, data, length]) => {
            let pairs = pairs(&guest.caller.data().headers);
            guest.give(Some(pairs), *data, *length)
        }
        ("proxy_get_buffer_bytes", [REQUEST_BODY, _, _, data, length]) => {
            let body = guest.caller.data().body.clone();
            guest.give(Some(body), *data, *length)
        }
        ("proxy_get_buffer_bytes", [PLUGIN_CONFIGURATION, _, _, data, length]) => {
            let configuration = guest.caller.data().configuration.clone();
            guest.give(Some(configuration), *data, *length)
        }
        ("proxy_get_shared_data", [key, size, data, length, version]) => {
            let key = guest.bytes(*key, *size)?;
            let Some((value, of_value)) = guest.caller.data().shared.get(&key).cloned() else {
                return Ok(NOT_FOUND);
            };
            guest.write(*version, &of_value.to_le_bytes())?;
            guest.give(Some(value), *data, *length)
        }
        ("proxy_set_shared_data", [key, size, value, length, version]) => {
            let (key, value) = (guest.bytes(*key, *size)?, guest.bytes(*value, *length)?);
            Ok(guest.caller.data_mut().share(key, value, *version))
        }
        ("proxy_define_metric", [_, _, _, to]) => {
            let id = guest.caller.data_mut().define_metric();
            guest.write(*to, &id.to_le_bytes())?;
            Ok(OK)
        }
        ("proxy_send_local_response", [status, ..]) => {
            guest.caller.data_mut().replied = u32::try_from(*status).ok();
            Ok(OK)
        }
        ("random_get", [to, size]) => {
            let random = guest.caller.data_mut().random(*size);
            guest.write(*to, &random)?;
            Ok(OK)
        }
        ("environ_sizes_get", [count, size]) => {
            guest.write(*count, &[0; 4])?;
            guest.write(*size, &[0; 4])?;
            Ok(OK)
        }
        // What is set is read by others.
        (
            "proxy_set_tick_period_milliseconds"
            | "proxy_set_property"
            | "proxy_replace_header_map_value"
            | "proxy_add_header_map_value"
            | "proxy_remove_header_map_value"
            | "proxy_increment_metric"
            | "proxy_record_metric"
            | "environ_get",
            _,
        ) => Ok(OK),
        _ => Err(Error::new(format!("the filter calls {name}, which the scripted Envoy has not"))),
    }
}

/// What a metered module has counted.
pub(super) fn count(global: &Val) -> u64 {
    number(global)
}

fn number(value: &Val) -> u64 {
    let small = value.i32().map(|value| u64::from(value.cast_unsigned()));
    small.or(value.i64().map(i64::cast_unsigned)).unwrap_or_default()
}

/// A header map in the ABI's form: a count, the lengths of all names and values, then all of them, NUL-terminated.
fn pairs(headers: &[(String, String)]) -> Vec<u8> {
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

// === impl Envoy ===

impl Envoy {
    /// One that has this configuration for the filter, at that instant.
    pub(super) fn new(configuration: &str, now: u64) -> Self {
        Self {
            configuration: configuration.as_bytes().to_vec(),
            properties: [(b"plugin_vm_id".to_vec(), b"guard".to_vec())].into(),
            now,
            ..Self::default()
        }
    }

    /// Notes what was executed up to this call.
    fn note(&mut self, name: &str, executed: u64) {
        let operators = executed.saturating_sub(self.executed);
        self.executed = executed;
        match self.steps.last_mut().filter(|step| step.name == name) {
            Some(step) => {
                step.calls += 1;
                step.operators += operators;
            }
            None => self.steps.push(Step { name: name.to_owned(), calls: 1, operators }),
        }
    }

    /// What was done since this was last asked.
    pub(super) fn take_steps(&mut self, executed: u64) -> Vec<Step> {
        let operators = executed.saturating_sub(self.executed);
        self.executed = executed;
        self.steps.push(Step { name: RETURN.to_owned(), calls: 0, operators });
        std::mem::take(&mut self.steps)
    }

    fn look_at_the_clock(&mut self) -> u64 {
        self.now += 1_000;
        self.now
    }

    fn share(&mut self, key: Vec<u8>, value: Vec<u8>, version: u64) -> u32 {
        let is_outrun =
            self.shared.get(&key).is_some_and(|(_, now)| version != 0 && version != u64::from(*now));
        if is_outrun {
            return CAS_MISMATCH;
        }
        self.versions += 1;
        self.shared.insert(key, (value, self.versions));
        OK
    }

    fn define_metric(&mut self) -> u32 {
        self.metrics += 1;
        self.metrics
    }

    /// Bytes that are the same in every run (splitmix64).
    fn random(&mut self, size: u64) -> Vec<u8> {
        let mut byte = || {
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (mixed >> 56) as u8
        };
        (0..size).map(|_| byte()).collect()
    }
}

/// The filter's memory, while it waits for an answer.
struct Guest<'a> {
    memory: Memory,
    caller: Caller<'a, Envoy>,
}

fn memory(caller: &Caller<'_, Envoy>) -> Result<Memory, Error> {
    caller
        .get_export("memory")
        .and_then(Extern::into_memory)
        .ok_or_else(|| Error::new("the filter exports no memory"))
}

// === impl Guest ===

impl Guest<'_> {
    fn bytes(&self, at: u64, size: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        self.memory.read(&self.caller, usize::try_from(at).unwrap_or(usize::MAX), &mut bytes)?;
        Ok(bytes)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.memory.write(&mut self.caller, usize::try_from(at).unwrap_or(usize::MAX), bytes)?)
    }

    /// Hands over a value in memory that the filter allocates for it, as Envoy does.
    fn give(&mut self, value: Option<Vec<u8>>, data: u64, length: u64) -> Result<u32, Error> {
        let Some(value) = value else { return Ok(NOT_FOUND) };
        let size = u32::try_from(value.len()).unwrap_or(u32::MAX);
        let mut place = [Val::I32(0)];
        if size > 0 {
            let allocate = self.caller.get_export("proxy_on_memory_allocate").and_then(Extern::into_func);
            let allocate = allocate.ok_or_else(|| Error::new("the filter exports no allocator"))?;
            allocate.call(&mut self.caller, &[Val::I32(size.cast_signed())], &mut place)?;
        }
        let [place] = place;
        let place = number(&place);
        self.write(place, &value)?;
        self.write(data, &u32::try_from(place).unwrap_or_default().to_le_bytes())?;
        self.write(length, &size.to_le_bytes())?;
        Ok(OK)
    }
}
