//! What stands at a host, and the memory of it: a worker is asked for few hosts and actions, again and again.
//!
//! A memory changes no answer: what it holds is what the table says of the same key, and the whole key is compared.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{Hash as _, Hasher as _},
    rc::Rc,
};

use rustc_hash::{FxBuildHasher, FxHasher};

use super::{
    Apis, hosts, shared_name,
    table::{Api, NameAt, Speaks, Table},
};
use crate::policy::Text;

/// The APIs at a host, read from the table.
#[derive(Debug)]
pub(in crate::catalog) struct Site {
    pub(super) apis: Apis,
    pub(super) members: Vec<Member>,
    pub(super) speaks: Speaks,
    /// Whether some of them have routes that are read as Google's, and some others.
    pub(super) has_google: bool,
    pub(super) has_plain: bool,
    /// Their service, or `unknown` where there are several.
    pub(super) name: Text,
}

/// One of the APIs at a host.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) api: Api,
    pub(super) service: Text,
}

/// Hosts that were asked for, and names of actions.
#[derive(Debug)]
pub(in crate::catalog) struct Memory {
    hosts: RefCell<Vec<Option<Known>>>,
    /// By their lists of APIs, of which the table has some hundreds.
    sites: RefCell<HashMap<Apis, Rc<Site>, FxBuildHasher>>,
    actions: RefCell<Vec<Option<(NameAt, Text)>>>,
}

#[derive(Debug)]
struct Known {
    host: Box<str>,
    site: Option<Rc<Site>>,
}

// === impl Site ===

impl Site {
    pub(in crate::catalog) fn new(table: &Table, apis: Apis) -> Self {
        let members: Vec<Member> =
            apis.read(table).map(|api| Member { service: Text::new(table.text(api.service)), api }).collect();
        let speaks = members.iter().fold(Speaks::NOTHING, |speaks, member| speaks.or(member.api.speaks));
        let has_routes = |is_google: bool| {
            let is_meant =
                |speaks: Speaks| speaks.any(Speaks::REST) && speaks.any(Speaks::GOOGLE) == is_google;
            members.iter().any(|member| is_meant(member.api.speaks))
        };
        let (has_google, has_plain) = (has_routes(true), has_routes(false));
        Self { name: shared_name(table, &apis), apis, members, speaks, has_google, has_plain }
    }

    /// All that its APIs speak.
    pub(in crate::catalog) fn speaks(&self) -> Speaks {
        self.speaks
    }

    pub(super) fn apis(&self) -> impl Iterator<Item = Api> + Clone + '_ {
        self.members.iter().map(|member| member.api)
    }

    /// The name of the service of one of its APIs.
    pub(super) fn service(&self, api: &Api) -> Text {
        let member = self.members.iter().find(|member| member.api.number == api.number);
        member.map_or_else(|| self.name.clone(), |member| member.service.clone())
    }
}

// === impl Memory ===

impl Memory {
    /// How many hosts, and how many names of actions, are remembered at most. Each has one place, by its hash.
    const PLACES: usize = 1024;
    /// No longer name is one of DNS, and none is remembered.
    const LONGEST_HOST: usize = 253;

    pub(in crate::catalog) fn new() -> Self {
        Self {
            hosts: RefCell::new((0..Self::PLACES).map(|_| None).collect()),
            sites: RefCell::default(),
            actions: RefCell::new(vec![None; Self::PLACES]),
        }
    }

    /// What the table has at `host`.
    pub(in crate::catalog) fn at_host(&self, table: &Table, host: &str) -> Option<Rc<Site>> {
        let mut hosts = self.hosts.borrow_mut();
        let place = hosts.get_mut(place_of(host))?;
        match place {
            Some(known) if *known.host == *host => known.site.clone(),
            Some(_) | None => {
                let site = hosts::find(table, host).map(|apis| self.site(table, apis));
                if host.len() <= Self::LONGEST_HOST {
                    *place = Some(Known { host: host.into(), site: site.clone() });
                }
                site
            }
        }
    }

    fn site(&self, table: &Table, apis: Apis) -> Rc<Site> {
        let mut sites = self.sites.borrow_mut();
        Rc::clone(sites.entry(apis).or_insert_with_key(|apis| Rc::new(Site::new(table, apis.clone()))))
    }

    /// The name of an action.
    pub(super) fn action(&self, table: &Table, at: NameAt) -> Option<Text> {
        let mut actions = self.actions.borrow_mut();
        let place = actions.get_mut(at.place() % Self::PLACES)?;
        match place {
            Some((known, name)) if *known == at => Some(name.clone()),
            Some(_) | None => {
                let name = Text::new(table.name(at)?.as_str());
                *place = Some((at, name.clone()));
                Some(name)
            }
        }
    }
}

fn place_of(host: &str) -> usize {
    let mut hasher = FxHasher::default();
    host.hash(&mut hasher);
    // Its low bits are the least mixed ones.
    usize::try_from(hasher.finish() >> 20 & 0xffff_ffff).unwrap_or_default() % Memory::PLACES
}
