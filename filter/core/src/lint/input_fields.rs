//! Fields of the input that are never there: what is compared with them is undefined, and a `not` before it holds.

use regorus::unstable::{Expr, Span};

use super::{
    finding::{Code, Finding},
    reference::{Imports, Part, Visitor, walk},
    source::Source,
    suggestion::suggestion,
};
use crate::{
    header_names::{fold, is_secret},
    request::is_reserved,
};

/// What stands at a field.
#[derive(Clone, Copy)]
enum Shape {
    /// These fields.
    Object(&'static [(&'static str, Shape)]),
    Text,
    /// Names of headers, each with a text.
    Headers,
    /// Names of parameters, each with an array of texts.
    Query,
    /// What the caller sent.
    Anything,
}

const REQUEST: &[(&str, Shape)] = &[
    ("method", Shape::Text),
    ("host", Shape::Text),
    ("path", Shape::Text),
    ("query", Shape::Query),
    ("headers", Shape::Headers),
];
const TOOL: &[(&str, Shape)] = &[("name", Shape::Text), ("arguments", Shape::Anything)];
const INPUT: &[(&str, Shape)] = &[
    ("spiffe_id", Shape::Text),
    ("tenant", Shape::Text),
    ("agent", Shape::Text),
    ("role", Shape::Text),
    ("service", Shape::Text),
    ("action", Shape::Text),
    ("timestamp", Shape::Text),
    ("resource", Shape::Text),
    ("model", Shape::Text),
    ("tool", Shape::Object(TOOL)),
    ("request", Shape::Object(REQUEST)),
];

pub(super) fn check(source: &Source<'_>, findings: &mut Vec<Finding>) {
    let Some(syntax) = source.syntax().filter(|_| !source.is_test()) else { return };
    let imports = Imports::of(syntax);
    let mut reader = Reader { source, imports: &imports, findings };
    for import in &syntax.imports {
        reader.path(&import.refr);
    }
    for rule in source.rules() {
        walk(rule, &mut reader);
    }
}

struct Reader<'r, 's> {
    source: &'r Source<'s>,
    imports: &'r Imports,
    findings: &'r mut Vec<Finding>,
}

impl<'m> Visitor<'m> for Reader<'_, '_> {
    fn expression(&mut self, expr: &'m Expr) {
        if let Expr::RefDot { .. } | Expr::RefBrack { .. } = expr {
            self.path(expr);
        }
    }
}

/// Why nothing stands at a field, and what to do about it.
type Missing = (String, String);

impl Reader<'_, '_> {
    fn path(&mut self, expr: &Expr) {
        let Some(path) = self.imports.input_path(expr) else { return };
        let (mut shape, mut known) = (Shape::Object(INPUT), "input".to_owned());
        for part in &path.parts {
            let missing = match part {
                Part::Name(name, span) => {
                    let next = shape.below(name, &known);
                    // What is wrong with an import is told there.
                    next.map_err(|missing| span.map(|span| (missing, span)))
                }
                Part::Any => Ok(shape.below_any()),
            };
            match missing {
                Ok(Some(below)) => shape = below,
                Ok(None) | Err(None) => return,
                Err(Some((missing, span))) => return self.missing(missing, path.root, span),
            }
            if let Part::Name(name, _) = part {
                known = format!("{known}.{name}");
            }
        }
    }

    fn missing(&mut self, (message, remedy): Missing, root: &Span, last: &Span) {
        let finding = Finding::new(Code::UnknownInputField, message).mended_by(remedy);
        let span = self.source.span(root, last);
        self.findings.push(finding.in_file(self.source.file()).at(span));
    }
}

// === impl Shape ===

impl Shape {
    /// What stands at `name`; nothing where that is not known.
    fn below(self, name: &str, known: &str) -> Result<Option<Self>, Missing> {
        match self {
            Self::Object(fields) => match fields.iter().find(|(field, _)| *field == name) {
                Some((_, shape)) => Ok(Some(*shape)),
                None => {
                    let names = || fields.iter().map(|(field, _)| *field);
                    let remedy = match suggestion(name, names()) {
                        Some(like) => format!("did you mean `{known}.{like}`?"),
                        None => {
                            let names: Vec<String> = names().map(|name| format!("`{name}`")).collect();
                            format!("`{known}` has {}", names.join(", "))
                        }
                    };
                    Err((format!("there is no `{known}.{name}`"), remedy))
                }
            },
            Self::Text => Err((
                format!("`{known}` is a text: it has no field `{name}`"),
                format!("compare `{known}` itself, or take it apart with `split`"),
            )),
            Self::Headers if fold(name) != name => Err((
                format!(
                    "there is no header `{name}` in `{known}`: their names are in lower case, with `-` for `_`"
                ),
                format!("write `{known}[\"{}\"]`", fold(name)),
            )),
            Self::Headers if is_reserved(name.as_bytes()) => Err((
                format!("`{name}` is never in `{known}`: the caller's own `x-hexr-*` are removed"),
                "the verified identity is in `input.tenant`, `input.agent` and `input.role`".to_owned(),
            )),
            Self::Headers | Self::Query if is_secret(name) => Err((
                format!("`{name}` is never in `{known}`: what may be a secret is kept out of the input"),
                "decide by something else that the request says".to_owned(),
            )),
            Self::Headers => Ok(Some(Self::Text)),
            Self::Query | Self::Anything => Ok(None),
        }
    }

    /// What stands at any of its names.
    fn below_any(self) -> Option<Self> {
        match self {
            Self::Headers => Some(Self::Text),
            Self::Object(_) | Self::Text | Self::Query | Self::Anything => None,
        }
    }
}
