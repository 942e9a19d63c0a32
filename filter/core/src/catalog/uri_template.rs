//! Path templates in Envoy's URI template syntax (`envoy.path.match.uri_template`).

use regex::Regex;
use thiserror::Error;

use crate::request::normal_path;

/// A template of paths: `/{bucket}/{key=**}`, `/v1/*/tables:delete`, `/upload/**`.
///
/// `*` and `{name}` stand for one non-empty segment or a part of it, `**` for any number of segments and only as the
/// last operator; `{name=*/x}` names several segments.
#[derive(Clone, Debug)]
pub struct UriTemplate {
    regex: Regex,
}

/// Why a template is not one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum UriTemplateError {
    /// Literals must be a path that a request could have.
    #[error("{0}")]
    Path(String),
    /// A brace without its other, or braces within braces.
    #[error("the braces do not match")]
    Braces,
    /// A name is not one, or stands twice.
    #[error("`{0}` is not a variable's name, or stands twice")]
    Name(String),
    /// Two operators without a literal between them.
    #[error("two operators stand side by side")]
    Adjacent,
    /// An operator behind `**`.
    #[error("`**` must be the last operator")]
    AfterRest,
    /// The template is too long.
    #[error("the template is too long")]
    TooLong,
}

/// What a template is made of, read from left to right.
struct Reader<'a> {
    pattern: String,
    names: Vec<&'a str>,
    literals: String,
    after_operator: bool,
    after_rest: bool,
}

// === impl UriTemplate ===

impl UriTemplate {
    /// Reads a template. Its literals are compared in the normal form of a path.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, UriTemplateError> {
        if !text.starts_with('/') {
            return Err(UriTemplateError::Path("a path template begins with `/`".to_owned()));
        }
        let mut reader = Reader {
            pattern: String::from("^"),
            names: Vec::new(),
            literals: String::new(),
            after_operator: false,
            after_rest: false,
        };
        reader.read(text)?;
        reader.pattern.push('$');
        // What the literals are with something in every operator's place must be a path.
        normal_path(&reader.literals).map_err(UriTemplateError::Path)?;
        let regex = Regex::new(&reader.pattern).map_err(|_| UriTemplateError::TooLong)?;
        Ok(Self { regex })
    }

    /// Whether `other` fits the same paths, whatever its variables are called.
    pub fn is_same(&self, other: &Self) -> bool {
        self.regex.as_str() == other.regex.as_str()
    }

    /// Whether `path`, in its normal form, fits.
    pub fn matches(&self, path: &str) -> bool {
        self.regex.is_match(path)
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn read(&mut self, text: &'a str) -> Result<(), UriTemplateError> {
        let mut rest = text;
        while let Some(at) = rest.find(['*', '{', '}']) {
            let (literal, operator) = rest.split_at(at);
            self.literal(literal)?;
            rest = if let Some(after) = operator.strip_prefix("**") {
                self.operator(".*", true)?;
                after
            } else if let Some(after) = operator.strip_prefix('*') {
                self.operator("[^/]+", false)?;
                after
            } else {
                let inner = operator.strip_prefix('{').ok_or(UriTemplateError::Braces)?;
                let (variable, after) = inner.split_once('}').ok_or(UriTemplateError::Braces)?;
                self.variable(variable)?;
                after
            };
        }
        self.literal(rest)
    }

    fn variable(&mut self, variable: &'a str) -> Result<(), UriTemplateError> {
        let (name, pattern) = variable.split_once('=').unwrap_or((variable, "*"));
        let valid = name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !valid || self.names.contains(&name) {
            return Err(UriTemplateError::Name(name.to_owned()));
        }
        if pattern.contains('{') {
            return Err(UriTemplateError::Braces);
        }
        self.names.push(name);
        self.read(pattern)
    }

    fn literal(&mut self, text: &str) -> Result<(), UriTemplateError> {
        if text.is_empty() {
            return Ok(());
        }
        // The slash before makes a path of any piece; the pieces together are checked at the end.
        let piece = format!("/a{text}");
        let normal = normal_path(&piece).map_err(UriTemplateError::Path)?;
        self.pattern.push_str(&regex::escape(normal.get(2..).unwrap_or_default()));
        self.literals.push_str(text);
        self.after_operator = false;
        Ok(())
    }

    fn operator(&mut self, pattern: &str, rest: bool) -> Result<(), UriTemplateError> {
        if self.after_rest {
            return Err(UriTemplateError::AfterRest);
        }
        if self.after_operator {
            return Err(UriTemplateError::Adjacent);
        }
        self.pattern.push_str(pattern);
        self.literals.push('x');
        self.after_operator = true;
        self.after_rest = rest;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, fits: &[&str], does_not: &[&str]) {
        let parsed = UriTemplate::parse(template).unwrap();
        for (paths, expect) in [(fits, true), (does_not, false)] {
            for path in paths {
                assert_eq!(parsed.matches(path), expect, "{template} and {path}");
            }
        }
    }

    #[test]
    fn matches() {
        check("/", &["/"], &["/a", ""]);
        check("/a.b", &["/a.b"], &["/axb", "/a.b/", "/a"]);
        check("/{bucket}/{key=**}", &["/b/", "/b/k", "/b/k/l"], &["/b", "//k", "/"]);
        check("/{bucket}", &["/b"], &["/", "/b/", "/b/c"]);
        check(
            "/v1/*/tables:delete",
            &["/v1/x/tables:delete"],
            &["/v1//tables:delete", "/v1/x/y/tables:delete"],
        );
        check("/upload/**", &["/upload/", "/upload/a/b"], &["/upload", "/uploads/a"]);
        check("/**.mpd", &["/a/b.mpd", "/.mpd"], &["/a/b.mp4"]);
        check("/{path=projects/*}/x", &["/projects/p/x"], &["/projects/p/q/x", "/projects/x"]);
        check("/%41%2f", &["/A%2F"], &["/A/", "/%41%2F"]);
        check("/a/{file}.json", &["/a/b.json"], &["/a/.json", "/a/bxjson"]);
    }

    #[test]
    fn mistakes() {
        for (template, expect) in [
            ("{x=/a}{", UriTemplateError::Path("a path template begins with `/`".to_owned())),
            ("/{x", UriTemplateError::Braces),
            ("/x}", UriTemplateError::Braces),
            ("/{x={y}}", UriTemplateError::Braces),
            ("/{}", UriTemplateError::Name(String::new())),
            ("/{1}", UriTemplateError::Name("1".to_owned())),
            ("/{x}/{x}", UriTemplateError::Name("x".to_owned())),
            ("/**/x/*", UriTemplateError::AfterRest),
            ("/{x}{y}", UriTemplateError::Adjacent),
            ("/***", UriTemplateError::AfterRest),
        ] {
            assert_eq!(UriTemplate::parse(template).map(|_| ()), Err(expect), "{template}");
        }
        for template in ["", "a", "/a//b", "/../a", "/a/./*", "/a b", "/%", "/%2e%2e/a"] {
            assert!(matches!(UriTemplate::parse(template), Err(UriTemplateError::Path(_))), "{template}");
        }
    }
}
