//! What is evaluated: modules and data of files, folders and bundles.

use hexr_authz_core::policy::{Data, Module};

use super::Eval;
use crate::{loaded::Loaded, source::Ignored};

impl Eval {
    /// The modules, and the data with the recent calls in it.
    ///
    /// # Errors
    /// Everything that cannot be read, a line each.
    pub(super) fn loaded(&self) -> Result<(Vec<Module>, Data), String> {
        let everything = Ignored::default();
        let Loaded { mut modules, mut data, .. } = Loaded::from(&self.data, &everything)?;
        let bundles = Loaded::from_bundles(&self.bundle, &everything)?;
        modules.extend(bundles.modules);
        data.merge(bundles.data).map_err(|error| error.to_string())?;
        Ok((modules, data))
    }
}

/// The data, with no recent calls where it says nothing of them.
pub(super) fn with_calls(mut data: Data) -> Data {
    if !data.keys().iter().any(|key| key == "audit_log")
        && let Ok(calls) = Data::from_json_at("[]", &["audit_log"])
    {
        // Nothing is there that it could contradict.
        let _ = data.merge(calls);
    }
    data
}
