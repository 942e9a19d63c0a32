//! The names of all services and actions of the table.

use std::collections::BTreeSet;

use super::{
    routes,
    table::{Api, Table},
    trie,
};

/// The names of all services.
pub(in crate::catalog) fn services(table: &Table) -> BTreeSet<String> {
    table.apis().map(|api| table.text(api.service).to_owned()).collect()
}

/// The names of all actions of a service; none of one that is not built in.
pub(in crate::catalog) fn actions(table: &Table, service: &str) -> BTreeSet<String> {
    let numbers = table.apis_of(service).into_iter();
    numbers.filter_map(|number| table.api(number)).flat_map(|api| names(table, &api)).collect()
}

/// The names of the actions of all services.
pub(in crate::catalog) fn all_actions(table: &Table) -> BTreeSet<String> {
    table.apis().flat_map(|api| names(table, &api)).collect()
}

fn names(table: &Table, api: &Api) -> Vec<String> {
    let mut places: Vec<_> = table.operations(api).collect();
    if api.routes != 0 {
        trie::every(table, api.routes, &mut |leaves| places.extend(routes::names_at(leaves)));
    }
    places.into_iter().filter_map(|place| table.name(place)).map(|name| name.as_str().to_owned()).collect()
}
