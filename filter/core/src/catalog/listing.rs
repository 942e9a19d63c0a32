//! What the catalog knows, by name: for whoever asks whether a policy names something that there is.

use std::collections::BTreeSet;

use super::{Catalog, Kind, builtin::listing};

/// The actions of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actions {
    /// Just these.
    These(BTreeSet<String>),
    /// What its tools are called, which only the server knows: it speaks MCP.
    OfTools,
}

impl Catalog {
    /// The names of all services, the operator's own among them.
    pub fn services(&self) -> BTreeSet<String> {
        let own = self.services.iter().map(|service| service.service.as_str().to_owned());
        listing::services(&self.table).into_iter().chain(own).collect()
    }

    /// The actions of the service of this name, at whatever hosts; nothing where there is no such service.
    pub fn actions_of(&self, service: &str) -> Option<Actions> {
        let built_in = listing::actions(&self.table, service);
        let is_known =
            !built_in.is_empty() || self.services.iter().any(|own| own.service.as_str() == service);
        is_known.then(|| self.with_own(built_in, |own| own == service))
    }

    /// The actions of all services.
    pub fn all_actions(&self) -> Actions {
        self.with_own(listing::all_actions(&self.table), |_| true)
    }

    /// Built-in actions with those of the operator's services that are meant.
    fn with_own(&self, mut actions: BTreeSet<String>, is_meant: impl Fn(&str) -> bool) -> Actions {
        for own in self.services.iter().filter(|own| is_meant(own.service.as_str())) {
            match &own.kind {
                Kind::Actions(listed) => {
                    actions.extend(listed.iter().map(|action| action.action.as_str().to_owned()));
                }
                Kind::BuiltIn => {}
                Kind::Mcp(_) => return Actions::OfTools,
            }
        }
        Actions::These(actions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{OnUnknown, builtin::Table};

    /// The names that the generator keeps are those that the table has.
    #[test]
    fn the_table_has_the_names_of_the_lock() {
        let lock = include_str!("../../catalog/names.lock");
        let (mut service, mut locked) = ("", BTreeSet::new());
        let mut services = BTreeSet::new();
        let table = Table::builtin();
        let check = |service: &str, locked: &BTreeSet<String>| {
            assert_eq!(&listing::actions(&table, service), locked, "{service}");
        };
        for line in lock.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                Some(next) => {
                    check(service, &locked);
                    (service, locked) = (next, BTreeSet::new());
                    services.insert(next.to_owned());
                }
                None => drop(locked.insert(line.split([' ', '\t']).next().unwrap().to_owned())),
            }
        }
        check(service, &locked);
        assert_eq!(Catalog::new(Vec::new(), OnUnknown::Deny).services(), services);
    }
}
