//! Several bundles that make one policy together.

use std::rc::Rc;

use super::{Bundle, Manifest};
use crate::{
    audit_log::AuditLog,
    pace::{Pace, finish},
    policy::{Budget, CompileError, Data, Module, Package, Policy, RulePath, module_header},
};

/// Bundles with their names. Each owns a part of `data`, and none a part of another's.
#[derive(Debug)]
pub struct BundleSet(Vec<(String, Bundle)>);

/// Whose policy a set of bundles makes, and what it must be like.
#[derive(Clone, Debug)]
pub enum Subject {
    /// The operator's: has the rule that decides, and nothing of a tenant's.
    Platform(RulePath),
    /// The tenant's of this name: one bundle, rooted at exactly its own place.
    Tenant(String),
}

/// The place below `data` of the tenants' own policies.
const TENANTS: [&str; 2] = ["hexr", "tenants"];
/// Where policies find what the bundles say of themselves, as in OPA: `data.system.bundles.NAME.manifest`.
const MANIFESTS: [&str; 2] = ["system", "bundles"];

// === impl Subject ===

impl Subject {
    /// The rule that decides.
    pub(crate) fn rule(&self) -> RulePath {
        match self {
            Self::Platform(rule) => rule.clone(),
            Self::Tenant(tenant) => RulePath::of_tenant(tenant),
        }
    }
}

#[cfg(feature = "lint")]
impl Subject {
    /// The package of the rule that decides, as a module's first line has it.
    pub(crate) fn package(&self) -> String {
        let rule = self.rule().to_string();
        let package = rule.strip_prefix("data.").unwrap_or(&rule);
        package.rsplit_once('.').map_or(package, |(package, _)| package).to_owned()
    }

    /// Why a package at `path` below `data` is not this bundle's to define, and what to do about it.
    pub(crate) fn misplaces(&self, path: &[String], manifest: &Manifest) -> Option<(String, String)> {
        let below = path.join(".");
        match self {
            Self::Tenant(tenant) => {
                let root = [TENANTS.as_slice(), &[tenant.as_str()]].concat();
                let is_inside =
                    path.len() >= root.len() && path.iter().zip(&root).all(|(part, root)| part == root);
                (!is_inside).then(|| {
                    let message =
                        format!("the package `data.{below}` is not tenant `{tenant}`'s: all that it has stands below `{}`", root.join("/"));
                    (message, format!("write `package {}`, or a package below it", self.package()))
                })
            }
            Self::Platform(_) if path.iter().take(TENANTS.len()).eq(TENANTS.iter()) => {
                let message =
                    format!("`data.{below}` is the tenants' own: nothing of the platform's stands there");
                Some((
                    message,
                    "move it into another package, or into the tenant's own bundle (`check --tenant`)"
                        .to_owned(),
                ))
            }
            Self::Platform(_) => (!manifest.owns(path)).then(|| {
                let message = format!("the package `data.{below}` lies under none of the manifest's roots");
                (message, "add its path to `roots` in `.manifest`, or move it below one of them".to_owned())
            }),
        }
    }
}

// === impl BundleSet ===

impl BundleSet {
    /// Puts bundles together.
    pub fn new(bundles: Vec<(String, Bundle)>) -> Self {
        Self(bundles)
    }

    /// The revisions, as one text: that of the only bundle, or each with its bundle's name.
    pub fn revision(&self) -> String {
        match self.0.as_slice() {
            [(_, bundle)] => bundle.revision().to_owned(),
            bundles => {
                let named = bundles.iter().map(|(name, bundle)| format!("{name}={}", bundle.revision()));
                named.collect::<Vec<_>>().join(",")
            }
        }
    }

    /// The name of each bundle, and its revision.
    pub fn revisions(&self) -> Rc<[(String, String)]> {
        self.0.iter().map(|(name, bundle)| (name.clone(), bundle.revision().to_owned())).collect()
    }

    /// Compiles all modules over all data.
    ///
    /// # Errors
    /// Everything that keeps the bundles from being activated together, a line each.
    pub async fn compile(
        self,
        subject: &Subject,
        budget: Budget,
        audit_log: &AuditLog,
        pace: &Pace,
    ) -> Result<Policy, String> {
        let problems = self.misplaced(subject);
        if !problems.is_empty() {
            return Err(problems.join("\n"));
        }
        let (manifests, owners) = (self.manifests(), self.owners());
        let (modules, data) = self.merge(pace).await?;
        let (data, audit_log) = match subject {
            Subject::Platform(_) => (with_manifests(data, manifests, pace).await?, *audit_log),
            // Nothing but its own bundle is there for it.
            Subject::Tenant(_) => (data, audit_log.of_tenant()),
        };
        let compiled = Policy::compile_in(&modules, &data, &subject.rule(), budget, &audit_log, pace).await;
        data.retire(pace).await;
        let policy = compiled.map_err(|errors| errors.to_string())?;
        let mut problems = Vec::new();
        for (package, owner) in policy.packages().iter().zip(&owners) {
            let path = package.path.join(".");
            if !owner.owns(&package.path) {
                problems.push(CompileError::OutsideRoots(package.clone()).to_string());
            }
            if matches!(subject, Subject::Platform(_)) && package.path.iter().take(2).eq(TENANTS.iter()) {
                problems.push(format!(
                    "{}: `data.{path}` is the tenants' own: nothing of the platform's stands there",
                    package.module
                ));
            }
        }
        if !problems.is_empty() {
            policy.retire(pace).await;
            return Err(problems.join("\n"));
        }
        Ok(match subject {
            Subject::Platform(_) => policy,
            Subject::Tenant(_) => policy.of_tenant(),
        })
    }

    /// All modules and all data, with the manifests where policies find them, for tools that make a
    /// [`Library`](crate::policy::Library) of them. Modules keep their paths.
    ///
    /// # Errors
    /// Everything that keeps the bundles from being put together, a line each.
    pub fn into_parts(self) -> Result<(Vec<Module>, Data), String> {
        let mut problems = self.overlaps();
        for (_, bundle) in &self.0 {
            for module in &bundle.modules {
                // What does not parse is told of by whoever compiles it.
                let Ok((path, _)) = module_header(module) else { continue };
                if !bundle.manifest.owns(&path) {
                    let package = Package { module: module.path.clone(), path };
                    problems.push(CompileError::OutsideRoots(package).to_string());
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems.join("\n"));
        }
        let manifests = self.manifests();
        let (mut modules, mut data) = (Vec::new(), Data::default());
        for (name, bundle) in self.0 {
            modules.extend(bundle.modules);
            data.merge(bundle.data).map_err(|error| format!("bundle `{name}`: {error}"))?;
        }
        Ok((modules, finish(with_manifests(data, manifests, &Pace::unhurried()))?))
    }

    /// The bundles that claim the same place.
    fn overlaps(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (at, (name, bundle)) in self.0.iter().enumerate() {
            for (other_name, other) in self.0.iter().take(at) {
                if let Some((root, other_root)) = bundle.manifest.overlap(&other.manifest) {
                    problems.push(format!(
                        "bundles `{other_name}` and `{name}` overlap: the root `{other_root}` of the one and `{root}` \
                         of the other; give each a `roots` of its own"
                    ));
                }
            }
        }
        problems
    }

    /// What is wrong with the places that the bundles claim.
    fn misplaced(&self, subject: &Subject) -> Vec<String> {
        let mut problems = Vec::new();
        match subject {
            Subject::Platform(_) => {
                problems.extend(self.overlaps());
                for (name, bundle) in &self.0 {
                    if bundle.data.obstacle(&TENANTS.map(str::to_owned)).is_some() {
                        problems.push(format!(
                            "bundle `{name}`: `data.{}` is the tenants' own: nothing of the platform's stands there",
                            TENANTS.join(".")
                        ));
                    }
                }
            }
            Subject::Tenant(tenant) => {
                let root = format!("{}/{tenant}", TENANTS.join("/"));
                for (_, bundle) in &self.0 {
                    let is_exact =
                        matches!(bundle.manifest.roots.as_slice(), [only] if only.trim_matches('/') == root);
                    if !is_exact {
                        problems.push(format!(
                            "the bundle of a tenant is rooted at exactly `{root}`, but this one at {}",
                            named(&bundle.manifest.roots)
                        ));
                    }
                }
            }
        }
        problems
    }

    fn manifests(&self) -> serde_json::Value {
        let manifest = |(name, bundle): &(String, Bundle)| {
            (name.clone(), serde_json::json!({"manifest": bundle.manifest}))
        };
        self.0.iter().map(manifest).collect::<serde_json::Map<_, _>>().into()
    }

    /// The manifest that each module is under, in the order in which the modules are compiled.
    fn owners(&self) -> Vec<Rc<Manifest>> {
        let of_bundle = |(_, bundle): &(String, Bundle)| {
            std::iter::repeat_n(Rc::new(bundle.manifest.clone()), bundle.modules.len())
        };
        self.0.iter().flat_map(of_bundle).collect()
    }

    async fn merge(self, pace: &Pace) -> Result<(Vec<Module>, Data), String> {
        let several = self.0.len() > 1;
        let (mut modules, mut data) = (Vec::new(), Data::default());
        for (name, bundle) in self.0 {
            // So that they tell one bundle from another in what an error names.
            let prefix = if several { format!("{name}/") } else { String::new() };
            modules.extend(
                bundle
                    .modules
                    .into_iter()
                    .map(|module| Module { path: format!("{prefix}{}", module.path), ..module }),
            );
            data.merge_in(bundle.data, pace).await.map_err(|error| format!("bundle `{name}`: {error}"))?;
        }
        Ok((modules, data))
    }
}

async fn with_manifests(mut data: Data, manifests: serde_json::Value, pace: &Pace) -> Result<Data, String> {
    let manifests = Data::from_json(&manifests.to_string()).map_err(|error| error.to_string())?;
    data.merge_in(manifests.at(&MANIFESTS), pace).await.map_err(|error| {
        format!("`data.{}` is the filter's own, for the bundles' manifests: {error}", MANIFESTS.join("."))
    })?;
    Ok(data)
}

fn named(roots: &[String]) -> String {
    let roots: Vec<String> = roots.iter().map(|root| format!("`{root}`")).collect();
    if roots.is_empty() { "nothing".to_owned() } else { roots.join(", ") }
}
