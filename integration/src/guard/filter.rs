//! The filter's module in an interpreter that counts what it executes.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use wasmi::{AsContext as _, Engine, ExternType, Global, Instance, Linker, Module, Store, Val};

use super::{
    envoy::{self, Envoy, Step},
    meter,
    scenario::{DAYBREAK, Scenario},
};

/// The filter, ready to start.
pub struct Filter {
    module: Module,
    linker: Linker<Envoy>,
    bytes: u64,
}

/// The filter as one worker of an Envoy has it.
pub struct Worker {
    store: Store<Envoy>,
    instance: Instance,
    /// What it has executed so far.
    count: Global,
    last_context: i32,
    certificates: u64,
}

/// What one request had the filter do.
#[derive(Debug)]
pub struct Served {
    /// Until it goes on, or is answered.
    pub before_reply: Vec<Step>,
    /// From then on.
    pub after_reply: Vec<Step>,
}

/// The context of the plugin itself.
const ROOT: i32 = 1;
const CONTINUE: i32 = 0;
/// Between two requests.
const SECOND_NANOS: u64 = 1_000_000_000;

// === impl Filter ===

impl Filter {
    /// Loads a module.
    ///
    /// # Errors
    /// When it is no module, or imports anything but functions.
    pub fn load(wasm: &Path) -> Result<Self> {
        let code = std::fs::read(wasm).with_context(|| wasm.display().to_string())?;
        let engine = Engine::default();
        let module = Module::new(&engine, meter::metered(&code)?)?;
        let mut linker = Linker::new(&engine);
        for import in module.imports() {
            let ExternType::Func(function) = import.ty() else {
                return Err(anyhow!("{} is no function", import.name()));
            };
            let name = import.name().to_owned();
            linker.func_new(
                import.module(),
                import.name(),
                function.clone(),
                move |caller, arguments, results| {
                    let status = envoy::answer(caller, &name, arguments)?;
                    if let [result] = results {
                        *result = Val::I32(status.cast_signed());
                    }
                    Ok(())
                },
            )?;
        }
        Ok(Self { module, linker, bytes: code.len() as u64 })
    }

    /// How large the module is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Starts it with a configuration, as Envoy does.
    ///
    /// # Errors
    /// When it refuses the configuration.
    pub fn start(&self, configuration: &str) -> Result<Worker> {
        let envoy = Envoy::new(configuration, DAYBREAK.unsigned_abs() * SECOND_NANOS);
        let mut store = Store::new(self.linker.engine(), envoy);
        let instance = self.linker.instantiate_and_start(&mut store, &self.module)?;
        let count = instance.get_global(&store, meter::COUNT).context("the module does not count")?;
        let mut worker = Worker { store, instance, count, last_context: ROOT, certificates: 0 };
        let size = i32::try_from(configuration.len())?;
        worker.call("_initialize", &[])?;
        worker.call("proxy_on_context_create", &[ROOT, 0])?;
        let started = worker.call("proxy_on_vm_start", &[ROOT, 0])?;
        let configured = worker.call("proxy_on_configure", &[ROOT, size])?;
        ensure!(
            (started, configured) == (1, 1),
            "the filter does not start: {:?}",
            worker.store.data().lines
        );
        Ok(worker)
    }
}

// === impl Worker ===

impl Worker {
    /// Serves a request of a scenario, a second after the one before.
    ///
    /// # Errors
    /// When it is not decided as the scenario says.
    pub fn serve(&mut self, scenario: &Scenario) -> Result<Served> {
        self.arrive(scenario);
        self.last_context += 1;
        let context = self.last_context;
        let (count, size) = (i32::try_from(scenario.headers.len())?, i32::try_from(scenario.body.len())?);
        self.call("proxy_on_context_create", &[context, ROOT])?;
        let mut action = self.call("proxy_on_request_headers", &[context, count, i32::from(size == 0)])?;
        if size > 0 && self.store.data().replied.is_none() {
            action = self.call("proxy_on_request_body", &[context, size, 1])?;
        }
        let replied = self.store.data().replied;
        ensure!(
            replied == scenario.refused_with && (action == CONTINUE) == replied.is_none(),
            "{}: answered with {replied:?}: {:?}",
            scenario.name,
            self.store.data().lines
        );
        let before_reply = self.steps();
        self.call("proxy_on_response_headers", &[context, 1, 1])?;
        self.call("proxy_on_log", &[context])?;
        self.call("proxy_on_done", &[context])?;
        self.call("proxy_on_delete", &[context])?;
        Ok(Served { before_reply, after_reply: self.steps() })
    }

    /// How much memory it has by now, in bytes. An instance never gives any back.
    ///
    /// # Errors
    /// When the module exports none.
    pub fn memory(&self) -> Result<u64> {
        let memory = self.instance.get_memory(&self.store, "memory").context("the module has no memory")?;
        Ok(memory.data_size(&self.store) as u64)
    }

    /// Has the host say what there is to a request.
    fn arrive(&mut self, scenario: &Scenario) {
        if self.certificates == 0 || scenario.is_over_new_connections {
            self.certificates += 1;
        }
        let digest = format!("{:064x}", self.certificates);
        // What was done before is not of this request.
        self.steps();
        let envoy = self.store.data_mut();
        envoy.properties.extend([
            (b"connection\0sha256_peer_certificate_digest".to_vec(), digest.into_bytes()),
            (b"connection\0peer_certificate".to_vec(), scenario.certificate.clone().into_bytes()),
        ]);
        envoy.headers.clone_from(&scenario.headers);
        envoy.body.clone_from(&scenario.body);
        envoy.now += SECOND_NANOS;
        envoy.replied = None;
    }

    fn steps(&mut self) -> Vec<Step> {
        let executed = envoy::count(&self.count.get(&self.store));
        self.store.data_mut().take_steps(executed)
    }

    /// Calls a function of the filter; 0 where it returns nothing.
    fn call(&mut self, name: &str, arguments: &[i32]) -> Result<i32> {
        let function = self
            .instance
            .get_func(&self.store, name)
            .with_context(|| format!("the filter exports no {name}"))?;
        let arguments: Vec<Val> = arguments.iter().copied().map(Val::I32).collect();
        let returns = function.ty(self.store.as_context()).results().len();
        let mut results = vec![Val::I32(0); returns];
        function
            .call(&mut self.store, &arguments, &mut results)
            .with_context(|| format!("{name}: {:?}", self.store.data().lines))?;
        Ok(results.first().and_then(Val::i32).unwrap_or_default())
    }
}
