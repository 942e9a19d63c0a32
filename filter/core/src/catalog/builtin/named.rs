//! Operations that a request calls by name: in `X-Amz-Target`, in a Smithy path, or as `Action` of a form.

use super::{
    Apis, Asked, Outcome,
    query::{Parameter, QueryProblem, decoded},
    shared_name,
    table::{Api, NameAt, Speaks, Table},
};
use crate::{
    catalog::{
        body::{self, BodyRule},
        operation::{Ambiguity, Derivation, Facts},
    },
    policy::Text,
    request::{Request, Seen},
};

const FORM: &[u8] = b"application/x-www-form-urlencoded";
const AMZ_JSON: [&[u8]; 2] = [b"application/x-amz-json-1.0", b"application/x-amz-json-1.1"];
const CBOR: &[u8] = b"application/cbor";
const SMITHY: &[u8] = b"rpc-v2-cbor";
const SIGNED: [&[u8]; 2] = [b"AWS4-HMAC-SHA256", b"AWS4-ECDSA-P256-SHA256"];

/// What has to be known of a request to read its form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::catalog) struct FormRule {
    apis: Apis,
    action: Option<String>,
    version: Option<String>,
    scope: Option<String>,
    is_form: bool,
}

impl Asked<'_, '_> {
    /// JSON: `X-Amz-Target: DynamoDB_20120810.GetItem`.
    pub(super) fn by_target(&self, speaks: Speaks) -> Outcome<Option<Derivation>> {
        let told = self.request.told();
        let Seen::Once(target) = told.amz_target else {
            return Err(Ambiguity("`x-amz-target` stands twice"));
        };
        if !speaks.any(Speaks::JSON) {
            return Err(Ambiguity("it has an `x-amz-target`, and the service knows none"));
        }
        if self.request.path() != "/" || self.request.method() != "POST" {
            return Err(Ambiguity("it has an `x-amz-target`, and is no `POST /`"));
        }
        if !AMZ_JSON.iter().any(|json| is_type(told.content_type, json)) {
            return Err(Ambiguity("it has an `x-amz-target`, and another content type"));
        }
        let Some(dot) = target.iter().rposition(|byte| *byte == b'.') else { return Ok(None) };
        let (prefix, name) = target.split_at(dot);
        let name = name.get(1..).unwrap_or_default();
        let is_meant = |api: &Api| {
            api.speaks.any(Speaks::JSON) && self.table.text(api.target_prefix).as_bytes() == prefix
        };
        self.called(self.site.apis().filter(is_meant), name)
    }

    /// Smithy RPC: `POST /service/GraniteServiceVersion20100801/operation/PutMetricData`.
    pub(super) fn by_smithy(&self, speaks: Speaks) -> Outcome<Option<Derivation>> {
        let told = self.request.told();
        if told.smithy_protocol != Seen::Once(SMITHY) || !speaks.any(Speaks::CBOR) {
            return Err(Ambiguity("it speaks a Smithy protocol that the service does not"));
        }
        if told.content_type.is_there() && !is_type(told.content_type, CBOR) {
            return Err(Ambiguity("it speaks CBOR, and has another content type"));
        }
        let path = self.request.path().strip_prefix("/service/");
        let Some((service, name)) = path.and_then(|path| path.split_once("/operation/")) else {
            return Ok(None);
        };
        if self.request.method() != "POST" {
            return Ok(None);
        }
        let is_meant =
            |api: &Api| api.speaks.any(Speaks::CBOR) && self.table.text(api.cbor_service) == service;
        self.called(self.site.apis().filter(is_meant), name.as_bytes())
    }

    fn called(&self, apis: impl Iterator<Item = Api> + Clone, name: &[u8]) -> Outcome<Option<Derivation>> {
        let Some((api, at)) = one(self.table, apis.clone(), name)? else { return Ok(None) };
        self.check_scope(apis)?;
        let Some(action) = self.memory.action(self.table, at) else { return Ok(None) };
        Ok(Some(Derivation::known(self.site.service(&api), action, Facts::default())))
    }

    /// Query: `Action=GetCallerIdentity&Version=2011-06-15`, in the query, or in the body, which then decides.
    pub(super) fn by_form(&self, is_s3: bool) -> Outcome<Option<Derivation>> {
        let told = self.request.told();
        let is_form = is_type(told.content_type, FORM);
        let has_action = self.query.action.is_there();
        if !is_form && !has_action {
            return Ok(None);
        }
        let queue = self.site.apis().any(|api| api.speaks.any(Speaks::QUEUE_PATH));
        let path = self.request.path();
        let segments = path.split('/').filter(|segment| !segment.is_empty()).count();
        let is_place = path == "/" || queue && segments == 2;
        if is_s3 || !is_place || !matches!(self.request.method(), "GET" | "POST") {
            return Err(Ambiguity("it has a form, and its path and method are no form's"));
        }
        if self.by_route()?.is_some() {
            return Err(Ambiguity("it has a form, and its path is an operation"));
        }
        if !self.request.has_plain_body() {
            return Err(Ambiguity(body::ENCODED));
        }
        if told.content_type == Seen::Often
            || self.query.action == Parameter::Often
            || self.query.version == Parameter::Often
        {
            return Err(Ambiguity("it says twice what it wants"));
        }
        let rule = FormRule {
            apis: Apis::of_forms(self.site.apis()),
            action: self.query.action.once().map(str::to_owned),
            version: self.query.version.once().map(str::to_owned),
            scope: self.scope()?.map(str::to_owned),
            is_form,
        };
        if self.request.has_no_body() {
            return Ok(Some(rule.decide(self.table, b"")));
        }
        Ok(Some(Derivation::NeedsBody(BodyRule::form(self.site.name.clone(), rule))))
    }

    /// The service that a signature is for.
    fn scope(&self) -> Outcome<Option<&str>> {
        let header = match self.request.told().authorization {
            Seen::Once(value) => value,
            Seen::Never => &[],
            Seen::Often => return Err(Ambiguity("it is signed twice")),
        };
        let in_header = SIGNED.iter().any(|algorithm| header.starts_with(algorithm));
        let mut credentials = credentials(header);
        let credential = credentials.next().filter(|_| in_header && credentials.next().is_none());
        let credential = credential.map(|credential| std::str::from_utf8(credential).unwrap_or_default());
        let credential = match (credential, &self.query.credential) {
            (Some(credential), Parameter::Never) => Some(credential),
            (None, Parameter::Once(credential)) => Some(credential.as_ref()),
            (None, Parameter::Never) if !in_header => None,
            (_, _) => {
                return Err(Ambiguity("its signature names more or less than one credential"));
            }
        };
        Ok(credential.map(|credential| last_but_one(credential).unwrap_or_default()))
    }

    /// A signature for another service than the one that is asked contradicts the request. It never chooses one.
    pub(super) fn check_scope(&self, apis: impl Iterator<Item = Api>) -> Outcome<()> {
        let mut apis = apis.filter(|api| self.table.signing(api).next().is_some()).peekable();
        let Some(scope) = apis.peek().and(self.scope()?) else { return Ok(()) };
        check_scope(self.table, apis, scope)
    }
}

/// The last but one of the parts that slashes separate.
fn last_but_one(credential: &str) -> Option<&str> {
    let slash = |text: &str| text.bytes().rposition(|byte| byte == b'/');
    let until = credential.get(..slash(credential)?)?;
    until.get(slash(until).map_or(0, |at| at + 1)..)
}

/// What stands behind each `Credential=` that begins a part of an `Authorization`.
fn credentials(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    const CREDENTIAL: &[u8] = b"Credential=";
    let ends_part = |byte: &u8| matches!(byte, b' ' | b',');
    // There are far fewer equals signs than parts' ends could be, and they are found fast.
    memchr::memchr_iter(b'=', header).filter_map(move |at| {
        let (until, behind) = header.split_at_checked(at + 1)?;
        let before = until.strip_suffix(CREDENTIAL)?;
        let begins_part = before.last().is_none_or(ends_part);
        let length = behind.iter().position(ends_part).unwrap_or(behind.len());
        behind.get(..length).filter(|_| begins_part)
    })
}

fn check_scope(table: &Table, mut apis: impl Iterator<Item = Api>, scope: &str) -> Outcome<()> {
    if apis.any(|api| table.signing(&api).any(|name| name == scope)) {
        Ok(())
    } else {
        Err(Ambiguity("its signature is for another service"))
    }
}

/// The operation that all of these APIs have under `name`.
fn one(table: &Table, apis: impl Iterator<Item = Api>, name: &[u8]) -> Outcome<Option<(Api, NameAt)>> {
    let mut found: Option<(Api, NameAt)> = None;
    for api in apis {
        let Some(at) = table.operation(&api, name) else { continue };
        match &found {
            Some((first, _)) if first.service != api.service => {
                return Err(Ambiguity("two services at its host have the operation"));
            }
            Some(_) => {}
            None => found = Some((api, at)),
        }
    }
    Ok(found)
}

/// Whether `request` is a form, or has one's `Action` in its query.
pub(in crate::catalog) fn with_form(request: &Request<'_>) -> bool {
    is_type(request.told().content_type, FORM)
        || request.query().split('&').any(|pair| pair.starts_with("Action="))
}

/// Whether the only content type is `expected`, whatever its parameters.
fn is_type(content_type: Seen<'_>, expected: &[u8]) -> bool {
    let Seen::Once(value) = content_type else { return false };
    let value = value.split(|byte| *byte == b';').next().unwrap_or_default();
    value.trim_ascii().eq_ignore_ascii_case(expected)
}

// === impl FormRule ===

impl FormRule {
    /// What the query and the whole of the form ask for together.
    pub(in crate::catalog) fn decide(&self, table: &Table, form: &[u8]) -> Derivation {
        Derivation::of(self.read(table, form))
    }

    fn read(&self, table: &Table, form: &[u8]) -> Outcome<Derivation> {
        let service = || shared_name(table, &self.apis);
        let unknown = || Derivation::UnknownAction { service: service() };
        if !self.is_form && !form.is_empty() {
            return Err(Ambiguity("it has an `Action` in its query, and a body that is no form"));
        }
        let mut said = Said { action: self.action.clone(), version: self.version.clone() };
        match said.add(form) {
            Ok(()) => {}
            Err(FormProblem::Unreadable(problem)) => {
                return Ok(Derivation::Unreadable { service: service(), problem });
            }
            Err(FormProblem::Contradiction(what)) => return Err(Ambiguity(what)),
        }
        let (Some(action), Some(version)) = (said.action, said.version) else { return Ok(unknown()) };
        let meant = self.apis.read(table).filter(|api| table.text(api.version) == version);
        let Some((api, at)) = one(table, meant.clone(), action.as_bytes())? else { return Ok(unknown()) };
        if let Some(scope) = &self.scope {
            check_scope(table, meant, scope)?;
        }
        let Some(name) = table.name(at) else { return Ok(unknown()) };
        Ok(Derivation::known(Text::new(table.text(api.service)), Text::new(name.as_str()), Facts::default()))
    }
}

impl Apis {
    fn of_forms(apis: impl Iterator<Item = Api>) -> Self {
        let speaks = |api: &Api| api.speaks.any(Speaks::QUERY);
        let numbers = apis.filter(speaks).map(|api| api.number).collect::<Vec<_>>();
        Self::of(&numbers)
    }
}

/// What a request says in its query and its form together.
struct Said {
    action: Option<String>,
    version: Option<String>,
}

enum FormProblem {
    Unreadable(String),
    Contradiction(&'static str),
}

impl Said {
    fn add(&mut self, form: &[u8]) -> Result<(), FormProblem> {
        let unreadable = |problem: &str| FormProblem::Unreadable(problem.to_owned());
        let form = std::str::from_utf8(form).map_err(|_| unreadable("the form is not UTF-8"))?;
        // Some servers separate parameters at semicolons too; clients escape them.
        if form.contains(';') {
            return Err(FormProblem::Contradiction("its form has a semicolon that is not escaped"));
        }
        for pair in form.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text| decoded(text).map_err(|problem: QueryProblem| unreadable(problem.text()));
            let key = decode(key)?;
            let key = key.trim_matches(|c: char| c.is_whitespace() || c.is_control());
            let slot = if key.eq_ignore_ascii_case("Action") {
                &mut self.action
            } else if key.eq_ignore_ascii_case("Version") {
                &mut self.version
            } else {
                continue;
            };
            if !matches!(key, "Action" | "Version") || slot.replace(decode(value)?.into_owned()).is_some() {
                return Err(FormProblem::Contradiction("it says twice, or in other letters, what it wants"));
            }
        }
        Ok(())
    }
}

impl Request<'_> {
    /// Whether a body in a charset that is not UTF-8, or compressed, would be read otherwise by the service than here.
    pub(in crate::catalog) fn has_plain_body(&self) -> bool {
        !self.told().content_encoding.is_there() && body::is_utf8(self.told().content_type)
    }
}
