//! The built-in catalog: AWS, Google, and the model APIs, from the generated table.
//!
//! Every sign of what a request wants is collected, and they must agree: a host's first match, or the first sign that
//! is found, would let a caller be judged for one thing and served another.

mod google;
mod hosts;
#[cfg(feature = "lint")]
pub(super) mod listing;
mod named;
mod query;
mod routes;
mod s3;
mod site;
mod table;
mod trie;

use std::borrow::Cow;

pub(super) use self::{
    named::{FormRule, with_form},
    query::decoded,
    routes::Rule,
    site::{Memory, Site},
    table::{Speaks, Table},
};
use self::{query::Query, routes::Route, site::Member, table::Api};
use super::{
    body::BodyRule,
    operation::{Ambiguity, Derivation, Facts, UNKNOWN},
};
use crate::{
    policy::Text,
    request::{EMPTY_SEGMENT, Request},
};

/// The APIs that answer at one host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Apis {
    numbers: Cow<'static, [u8]>,
}

/// What was found, before it is told.
struct Found<'q> {
    member: &'q Member,
    route: Route,
}

/// Everything that one derivation looks at.
struct Asked<'q, 'r> {
    table: &'q Table,
    memory: &'q Memory,
    site: &'q Site,
    request: &'q Request<'r>,
    query: &'q Query<'r>,
    /// What stands behind the bucket, at hosts of the operator's own.
    base: Option<&'q str>,
}

/// The path's segments, which all APIs at the host have in common, as AWS and as Google read them.
#[derive(Default)]
struct Paths<'p> {
    plain: routes::Segments<'p>,
    google: google::Segments<'p>,
}

type Outcome<T> = Result<T, Ambiguity>;

// === impl Apis ===

impl Apis {
    /// The APIs with these numbers.
    pub(super) fn of(numbers: &[u16]) -> Self {
        Self { numbers: numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>().into() }
    }

    fn read(&self, table: &Table) -> impl Iterator<Item = Api> + Clone {
        let numbers = self.numbers.chunks_exact(2);
        numbers.filter_map(|number| table.api(u16::from_le_bytes(number.try_into().ok()?)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
}

/// The part of the APIs of an operator's own entry that speaks at hosts of the given kind.
pub(super) fn of_service(table: &Table, service: &str, below_host: bool) -> Apis {
    let is_meant = |number: &u16| {
        table.api(*number).is_some_and(|api| {
            let wanted = if below_host { Speaks::S3_VIRTUAL } else { Speaks::S3_PATH };
            let is_s3 = api.speaks.any(Speaks::S3_PATH.or(Speaks::S3_VIRTUAL));
            !is_s3 || api.speaks.any(wanted) && !api.speaks.any(Speaks::S3_LAMBDA.or(Speaks::S3_EXPRESS))
        })
    };
    Apis::of(&table.apis_of(service).into_iter().filter(is_meant).collect::<Vec<_>>())
}

/// What `request` asks of the APIs at its host, which is one below `base` where the operator says so.
pub(super) fn derive(
    table: &Table,
    memory: &Memory,
    site: &Site,
    request: &Request<'_>,
    base: Option<&str>,
) -> Derivation {
    if site.apis.is_empty() {
        return Derivation::UnknownService;
    }
    let mut query = Query::new();
    if let Err(problem) = query.read(table, request.query()) {
        return Derivation::ambiguous(problem.text());
    }
    let asked = Asked { table, memory, site, request, query: &query, base };
    match asked.derive() {
        Ok(Some(derivation)) => derivation,
        Ok(None) => Derivation::UnknownAction { service: site.name.clone() },
        Err(Ambiguity(what)) => Derivation::ambiguous(what),
    }
}

// === impl Asked ===

impl<'q> Asked<'q, '_> {
    /// Asks by the signs that the request gives, of which only one may be there.
    fn derive(&self) -> Outcome<Option<Derivation>> {
        let speaks = self.site.speaks;
        let is_s3 = speaks.any(Speaks::S3_PATH.or(Speaks::S3_VIRTUAL));
        if self.request.has_empty_segments() && (!is_s3 || self.request.path().starts_with("//")) {
            return Err(Ambiguity(EMPTY_SEGMENT));
        }
        let told = self.request.told();
        if told.amzn_target.is_there() {
            return Err(Ambiguity("`x-amzn-target` is no header of a service"));
        }
        let signs =
            [told.amz_target.is_there(), told.smithy_protocol.is_there(), self.query.action.is_there()];
        if signs.iter().filter(|is_there| **is_there).count() > 1 {
            return Err(Ambiguity("it says in more than one way what it wants"));
        }
        if told.amz_target.is_there() {
            return self.by_target(speaks);
        }
        if told.smithy_protocol.is_there() {
            return self.by_smithy(speaks);
        }
        if speaks.any(Speaks::QUERY) {
            if let Some(derivation) = self.by_form(is_s3)? {
                return Ok(Some(derivation));
            }
        } else if self.query.action.is_there() {
            return Err(Ambiguity("it has an `Action`, and the service knows none"));
        }
        let Some(found) = self.by_route()? else { return Ok(None) };
        self.check_scope(std::iter::once(found.member.api))?;
        self.tell(&found)
    }

    /// The derivation of what a route leads to.
    fn tell(&self, Found { member, route }: &Found<'_>) -> Outcome<Option<Derivation>> {
        let Some(action) = self.memory.action(self.table, route.name) else { return Ok(None) };
        let (service, facts) = (member.service.clone(), self.facts(&member.api, route));
        match route.rule {
            None => Ok(Some(Derivation::known(service, action, facts))),
            Some(rule) => BodyRule::of_route(rule, service, action, facts, self.request).map(Some),
        }
    }

    /// The only thing that the routes of all APIs at the host lead to.
    fn by_route(&self) -> Outcome<Option<Found<'q>>> {
        let mut paths = Paths::default();
        if self.site.has_plain {
            paths.plain.read(self.request.path());
        }
        if self.site.has_google {
            paths.google.read(self.request)?;
        }
        let mut found: Option<Found<'q>> = None;
        for member in self.site.members.iter().filter(|member| member.api.speaks.any(Speaks::REST)) {
            let Some(route) = self.route(&member.api, &paths)? else { continue };
            let is_same = |first: &Found<'_>| {
                first.member.api.service == member.api.service && first.route.name == route.name
            };
            match &found {
                Some(first) if !is_same(first) => {
                    return Err(Ambiguity("two services at its host know it by different names"));
                }
                Some(_) => {}
                None => found = Some(Found { member, route }),
            }
        }
        Ok(found)
    }

    fn route(&self, api: &Api, paths: &Paths<'_>) -> Outcome<Option<Route>> {
        if api.speaks.any(Speaks::S3_PATH.or(Speaks::S3_VIRTUAL)) {
            s3::route(self, api)
        } else if api.speaks.any(Speaks::GOOGLE) {
            google::route(self, api, &paths.google)
        } else {
            routes::plain(self, api, &paths.plain)
        }
    }

    fn facts(&self, api: &Api, route: &Route) -> Facts {
        let resource = if api.speaks.any(Speaks::S3_PATH.or(Speaks::S3_VIRTUAL)) {
            s3::resource(self, api)
        } else if api.speaks.any(Speaks::GOOGLE) {
            google::resource(self.request.path(), route.has_verb)
        } else if api.speaks.any(Speaks::MODEL) {
            azure_resource(self.request.host())
        } else {
            None
        };
        let model = route.model_at.and_then(|at| {
            let path = self.request.path();
            let path = if route.has_verb { google::without_verb(path)? } else { path };
            path.split('/').nth(at + 1).map(|model| unescaped(model).into_owned())
        });
        Facts { resource, model, tool: None }
    }
}

/// Whose models are asked at one of Azure's hosts: anyone's resources are there.
fn azure_resource(host: &str) -> Option<String> {
    host.strip_suffix(".azure.com").and_then(|name| name.split('.').next()).map(str::to_owned)
}

/// The service of these APIs. Where several share a host, what none of them knows could be for any of them.
fn shared_name(table: &Table, apis: &Apis) -> Text {
    let Some(first) = apis.read(table).next() else { return Text::new(UNKNOWN) };
    let is_shared = apis.read(table).all(|api| api.service == first.service);
    Text::new(if is_shared { table.text(first.service) } else { UNKNOWN })
}

/// A piece of a normal path with its last escapes decoded, where they are text.
fn unescaped(piece: &str) -> Cow<'_, str> {
    if !piece.bytes().any(|byte| byte == b'%') {
        return Cow::Borrowed(piece);
    }
    // A plus is no space in a path.
    let piece = piece.replace('+', "%2B");
    let text = decoded(&piece).map(Cow::into_owned);
    Cow::Owned(text.unwrap_or(piece))
}
