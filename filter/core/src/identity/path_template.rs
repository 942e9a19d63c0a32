//! Templates of SPIFFE ID paths: `/agent/{tenant}/{agent}/{role}`.

use thiserror::Error;

use super::{Part, Parts};

/// A path of a SPIFFE ID in which some segments name a tenant, an agent or a role.
///
/// A segment is a literal, `{tenant}`, `{agent}`, `{role}`, or `*` for any one segment that means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Capture(Part),
    Any,
}

/// Why a path template is not one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PathTemplateError {
    /// It does not begin with a slash, or is nothing but one.
    #[error(
        "a path template begins with `/` and has at least one segment, as `/agent/{{tenant}}/{{agent}}/{{role}}`"
    )]
    NoPath,
    /// A segment is empty or has characters that no SPIFFE ID path may have.
    #[error(
        "`{0}` is not a segment: letters, digits, `-`, `.`, `_`, or one of `{{tenant}}`, `{{agent}}`, `{{role}}`, `*`"
    )]
    Segment(String),
    /// A part stands twice.
    #[error("`{{{0}}}` stands twice")]
    Twice(Part),
}

impl PathTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, PathTemplateError> {
        let path = text.strip_prefix('/').filter(|path| !path.is_empty()).ok_or(PathTemplateError::NoPath)?;
        let mut segments = Vec::new();
        for segment in path.split('/') {
            let segment = Segment::parse(segment)?;
            if let Segment::Capture(part) = segment
                && segments.contains(&segment)
            {
                return Err(PathTemplateError::Twice(part));
            }
            segments.push(segment);
        }
        Ok(Self { segments })
    }

    /// What the template captures of `path`, or nothing when it does not fit.
    pub(crate) fn captures(&self, path: &str) -> Option<Parts> {
        let mut parts = Parts::default();
        let mut given = path.strip_prefix('/')?.split('/');
        for segment in &self.segments {
            let text = given.next()?;
            match segment {
                Segment::Literal(literal) if literal == text => {}
                Segment::Literal(_) => return None,
                Segment::Capture(part) => *parts.slot(*part) = Some(text.to_owned()),
                Segment::Any => {}
            }
        }
        given.next().is_none().then_some(parts)
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, PathTemplateError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            let part = Part::ALL.into_iter().find(|part| part.name() == name);
            return part.map(Self::Capture).ok_or_else(|| PathTemplateError::Segment(text.to_owned()));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if text.is_empty() || text == "." || text == ".." || !text.bytes().all(allowed) {
            return Err(PathTemplateError::Segment(text.to_owned()));
        }
        Ok(Self::Literal(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, path: &str, expect: Option<[Option<&str>; 3]>) {
        let captures = PathTemplate::parse(template).unwrap().captures(path);
        let captures = captures.map(|parts| [parts.tenant, parts.agent, parts.role]);
        assert_eq!(captures, expect.map(|parts| parts.map(|part| part.map(str::to_owned))));
    }

    #[test]
    fn captures() {
        let default = "/agent/{tenant}/{agent}/{role}";
        check(default, "/agent/acme/crew/editor", Some([Some("acme"), Some("crew"), Some("editor")]));
        check(default, "/agent/acme/crew", None);
        check(default, "/agent/acme/crew/editor/more", None);
        check(default, "/agents/acme/crew/editor", None);
        check("/ns/{tenant}/sa/{agent}", "/ns/acme/sa/crew", Some([Some("acme"), Some("crew"), None]));
        check("/*/{agent}", "/anything/crew", Some([None, Some("crew"), None]));
        check("/fixed", "/fixed", Some([None, None, None]));
    }

    #[test]
    fn mistakes() {
        for (template, error) in [
            ("", PathTemplateError::NoPath),
            ("/", PathTemplateError::NoPath),
            ("agent/{tenant}", PathTemplateError::NoPath),
            ("/agent//x", PathTemplateError::Segment(String::new())),
            ("/agent/{team}", PathTemplateError::Segment("{team}".to_owned())),
            ("/agent/a b", PathTemplateError::Segment("a b".to_owned())),
            ("/agent/..", PathTemplateError::Segment("..".to_owned())),
            ("/{role}/{role}", PathTemplateError::Twice(Part::Role)),
        ] {
            assert_eq!(PathTemplate::parse(template), Err(error), "{template}");
        }
    }
}
