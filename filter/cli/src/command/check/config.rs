//! A filter configuration, checked with the filter's own code.

use std::{collections::BTreeMap, fs, path::Path};

use hexr_authz_core::{
    bundle::{Bundle, SourceFile, Subject},
    config::{BundleSource, Config, UNKNOWN_VALUE},
    lint::{Code, Finding, Purpose, findings},
};
use serde_json::Value;

use super::{json_place, report::Report};

/// An update that takes longer is one that operators do not expect.
const SLOW_UPDATE_MILLIS: u64 = 30_000;

/// Checks the configuration in a file; what it is, where it has no mistakes.
pub(super) fn check(path: &Path, report: &mut Report) -> Option<Config> {
    let file = path.display().to_string();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            report.add(Finding::new(Code::ConfigError, error.to_string()).in_file(&file));
            return None;
        }
    };
    report.know([(file.clone(), text.clone())]);
    let mut add = |code: Code, json_path: &str, message: &str| {
        let (message, span) = json_place::taken_out(message);
        let span = span.or_else(|| json_place::span(&text, json_path));
        let finding = Finding::new(code, format!("{json_path}: {message}")).in_file(&file);
        report.add_at(Finding { span, ..finding }, json_path);
    };
    // The values of the environment are the VM's; here only the names can be looked at.
    match Config::read(&text, &|_name| Some(UNKNOWN_VALUE.to_owned())) {
        Err(problems) => {
            problems.iter().for_each(|problem| add(Code::ConfigError, &problem.path, &problem.message));
            None
        }
        Ok(config) => {
            let candidates = config.candidate.iter().flat_map(|candidate| &candidate.bundles);
            let all: BTreeMap<&str, &BundleSource> = config
                .bundles
                .iter()
                .chain(candidates)
                .map(|bundle| (bundle.name.as_str(), bundle))
                .collect();
            for bundle in all.into_values() {
                warn(bundle, &mut add);
            }
            embedded(&text, &config, &mut add);
            Some(config)
        }
    }
}

type Add<'a> = &'a mut dyn FnMut(Code, &str, &str);

/// What works, and should be otherwise.
fn warn(bundle: &BundleSource, add: Add<'_>) {
    let path = format!("$.bundles.{}", bundle.name);
    if bundle.resource.polling.max_delay_millis > SLOW_UPDATE_MILLIS {
        let message = format!(
            "with `max_delay_seconds` {} an update of bundle `{}` can take over 30 seconds",
            bundle.resource.polling.max_delay_millis / 1000,
            bundle.name
        );
        add(Code::SlowUpdate, &format!("{path}.polling.max_delay_seconds"), &message);
    }
    for key in bundle.signing.iter().flat_map(|signing| signing.keys()) {
        if let Some(missing) = key.missing_bytes() {
            let message = format!(
                "the secret of key `{}` is {missing} bytes shorter than its algorithm's digest, and easier to guess",
                key.id()
            );
            add(Code::ShortSecret, &format!("$.keys.{}.key", key.id()), &message);
        }
    }
}

/// What is to be said of the policy that stands in the configuration itself. It compiles.
fn embedded(text: &str, config: &Config, add: Add<'_>) {
    let Ok(document) = serde_json::from_str::<Value>(text) else { return };
    let Some(modules) = document.pointer("/policy/modules").and_then(Value::as_object) else { return };
    let mut files: Vec<SourceFile> = modules
        .iter()
        .filter_map(|(path, text)| Some((path.clone(), text.as_str()?.as_bytes().to_vec())))
        // Whatever they are called there, they are modules.
        .map(|(path, content)| SourceFile { path: format!("{path}{MODULE}"), content })
        .collect();
    if let Some(data) = document.pointer("/policy/data") {
        files.push(SourceFile { path: "data.json".to_owned(), content: data.to_string().into_bytes() });
    }
    let (bundle, _) = Bundle::of_sources(&files);
    let purpose = Purpose {
        subject: &Subject::Platform(config.rule.clone()),
        audit_log: &config.audit_log,
        catalog: &config.catalog,
        has_own_services: true,
    };
    for finding in findings(&bundle, purpose) {
        let module = finding.file.as_deref().and_then(|file| file.strip_suffix(MODULE)).unwrap_or_default();
        let json_path = format!("$.policy.modules[{}]", Value::from(module));
        let place = finding.span.map(|span| format!("{}:{}: ", span.line, span.column)).unwrap_or_default();
        add(finding.code, &json_path, &format!("{place}{}", finding.message));
    }
}

/// What modules of the configuration are told by.
const MODULE: &str = ".rego";
