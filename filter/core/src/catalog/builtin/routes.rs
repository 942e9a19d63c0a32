//! Finds the operation of an API by method, path and conditions.

use super::{
    Asked, Outcome,
    query::{Parameter, decoded},
    table::{Api, Condition, NameAt, TextNumber, name_in_leaf, u16_at},
    trie::{self, Fit, Piece, Pieces, Specificity, TooMany},
};
use crate::catalog::operation::Ambiguity;

/// A group of leaves begins with its method, and its length where that is below this.
const METHOD: u8 = 7;
const LONG_GROUP: usize = 31;
const HAS_CONDITIONS: u8 = 1;
const HAS_RULE: u8 = 2;

/// What a route asks for beyond method, path and conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::catalog) enum Rule {
    /// The JSON body names the model.
    ModelInBody,
    /// A BigQuery job, which is a query or not.
    BigQueryJob,
    /// The same with data to follow.
    BigQueryUpload,
}

/// A route that fits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) name: NameAt,
    pub(super) rule: Option<Rule>,
    /// The segment that names the model.
    pub(super) model_at: Option<usize>,
    /// Whether it is one of gRPC.
    pub(super) is_grpc: bool,
    /// Whether the last segment ends in a custom verb.
    pub(super) has_verb: bool,
}

/// One leaf of a node.
#[derive(Clone, Copy)]
struct Leaf {
    conditions: Option<usize>,
    rule: u8,
    name: NameAt,
}

/// The leaves of a node for one method, one behind the other.
struct Leaves {
    rest: &'static [u8],
}

// === impl Leaves ===

impl Leaves {
    /// Those for the method with this number, of all leaves of a node.
    fn of(mut all: &'static [u8], method: usize) -> Option<Self> {
        loop {
            let head = *all.first()?;
            let (from, length) = match usize::from(head >> 3) {
                LONG_GROUP => (3, usize::from(u16_at(all, 1)?)),
                length => (1, length),
            };
            if usize::from(head & METHOD) == method {
                return Some(Self { rest: all.get(from..from + length)? });
            }
            all = all.get(from + length..)?;
        }
    }
}

impl Iterator for Leaves {
    type Item = Leaf;

    fn next(&mut self) -> Option<Leaf> {
        let head = *self.rest.first()?;
        let mut at = 1;
        let conditions = if head & HAS_CONDITIONS == 0 {
            None
        } else {
            at += 2;
            Some(usize::from(u16_at(self.rest, at - 2)?))
        };
        let rule = if head & HAS_RULE == 0 {
            0
        } else {
            at += 1;
            *self.rest.get(at - 1)?
        };
        let name = name_in_leaf(self.rest, at)?;
        self.rest = self.rest.get(at + 3..)?;
        Some(Leaf { conditions, rule, name })
    }
}

/// The names of all routes that end at a node, whatever their method.
#[cfg(feature = "lint")]
pub(super) fn names_at(leaves: &'static [u8]) -> impl Iterator<Item = NameAt> {
    let methods = 0..=usize::from(METHOD);
    methods.filter_map(move |method| Leaves::of(leaves, method)).flatten().map(|leaf| leaf.name)
}

/// A path's segments. One slash at the end means nothing.
#[derive(Debug, Default)]
pub(super) struct Segments<'p> {
    pieces: Pieces<'p>,
    /// Whether no route has so many.
    is_too_long: bool,
}

impl<'p> Segments<'p> {
    pub(super) fn read(&mut self, path: &'p str) {
        let path = path.strip_suffix('/').unwrap_or(path);
        self.is_too_long = !path.is_empty() && split(path, &mut self.pieces).is_err();
    }
}

/// The route that the raw path leads to, segment by segment.
pub(super) fn plain(asked: &Asked<'_, '_>, api: &Api, segments: &Segments<'_>) -> Outcome<Option<Route>> {
    if segments.is_too_long { Ok(None) } else { find(asked, api, &segments.pieces, |_| true) }
}

/// Adds the segments of a path.
///
/// # Errors
/// When there are more than any route has.
pub(super) fn split<'p>(path: &'p str, pieces: &mut Pieces<'p>) -> Result<(), TooMany> {
    let mut rest = path.strip_prefix('/').unwrap_or(path);
    while let Some(at) = rest.bytes().position(|byte| byte == b'/') {
        let Some((segment, after)) = rest.split_at_checked(at) else { break };
        pieces.push(Piece::new(segment))?;
        rest = after.get(1..).unwrap_or_default();
    }
    pieces.push(Piece::new(rest))
}

/// The route of `api` that `pieces` lead to by the request's method, under its conditions.
pub(super) fn find(
    asked: &Asked<'_, '_>,
    api: &Api,
    pieces: &Pieces<'_>,
    mut is_meant: impl FnMut(&Fit) -> bool,
) -> Outcome<Option<Route>> {
    let Some(method) = method_number(asked.request.method()) else { return Ok(None) };
    let mut best: Option<(Leaf, Specificity)> = None;
    let mut problem = None;
    let exclusive = exclusive_in(asked, api);
    trie::walk(asked.table, api.routes, pieces.as_slice(), &mut |fit| {
        if !is_meant(&fit) {
            return;
        }
        for leaf in Leaves::of(fit.leaves, method).into_iter().flatten() {
            match hold(asked, api, leaf.conditions, exclusive) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(refused) => problem = Some(refused),
            }
            match &best {
                Some((first, _)) if first.name == leaf.name && first.rule == leaf.rule => {}
                Some((_, specificity))
                    if specificity.dominates(fit.specificity) && *specificity != fit.specificity => {}
                Some((_, specificity))
                    if fit.specificity == *specificity || !fit.specificity.dominates(*specificity) =>
                {
                    problem = Some(Ambiguity("two operations fit it equally well"));
                }
                Some(_) | None => best = Some((leaf, fit.specificity)),
            }
        }
    });
    match problem {
        Some(refused) => Err(refused),
        None => Ok(best.and_then(|(leaf, _)| Route::of(&leaf))),
    }
}

/// The number of a method that routes have, in the generator's order (`filter/core/catalog/model.py`).
fn method_number(method: &str) -> Option<usize> {
    Some(match method {
        "GET" => 0,
        "PUT" => 1,
        "POST" => 2,
        "DELETE" => 3,
        "PATCH" => 4,
        "HEAD" => 5,
        "OPTIONS" => 6,
        _ => return None,
    })
}

impl Route {
    /// Reads the rule of a leaf: its high half is the kind, its low half a segment.
    fn of(leaf: &Leaf) -> Option<Self> {
        let mut route = Self { name: leaf.name, rule: None, model_at: None, is_grpc: false, has_verb: false };
        match leaf.rule >> 4 {
            0 => {}
            1 => route.model_at = Some(usize::from(leaf.rule & 0x0f)),
            2 => route.rule = Some(Rule::ModelInBody),
            3 => route.rule = Some(Rule::BigQueryJob),
            4 => route.rule = Some(Rule::BigQueryUpload),
            5 => route.is_grpc = true,
            // What is not known here must not pass for something that is.
            _ => return None,
        }
        Some(route)
    }
}

/// Whether a route's conditions hold, and the request names no key of another operation.
fn hold(asked: &Asked<'_, '_>, api: &Api, conditions: Option<usize>, exclusive: usize) -> Outcome<bool> {
    let mut named = 0;
    if let Some(at) = conditions {
        let Some(list) = asked.table.conditions(at) else { return Ok(false) };
        for condition in list {
            let Some(condition) = condition else { return Ok(false) };
            if !holds(asked, condition)? {
                return Ok(false);
            }
            named += match condition {
                Condition::QueryPresent(key)
                | Condition::QueryValue(key, _)
                | Condition::HeaderPresent(key) => usize::from(api.is_exclusive(key)),
                Condition::QueryAbsent(_) | Condition::HeaderAbsent(_) => 0,
            };
        }
    }
    Ok(exclusive == named)
}

fn holds(asked: &Asked<'_, '_>, condition: Condition) -> Outcome<bool> {
    let once = |key: TextNumber| match asked.query.times(key) {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Ambiguity("a parameter that says what is wanted stands twice")),
    };
    match condition {
        Condition::QueryPresent(key) => once(key),
        Condition::QueryValue(key, value) => {
            let sent = asked.query.raw_value(key).unwrap_or_default();
            Ok(once(key)? && decoded(sent).is_ok_and(|sent| sent == asked.table.text(value)))
        }
        Condition::QueryAbsent(key) => Ok(asked.query.times(key) == 0),
        Condition::HeaderPresent(key) => Ok(asked.request.header(asked.table.text(key)).is_there()),
        Condition::HeaderAbsent(key) => Ok(!asked.request.header(asked.table.text(key)).is_there()),
    }
}

/// How many of the API's exclusive keys and headers the request names.
fn exclusive_in(asked: &Asked<'_, '_>, api: &Api) -> usize {
    if !api.has_exclusive() {
        return 0;
    }
    // The generator checks that this is the only header among them.
    asked.query.count(|key| api.is_exclusive(key)) + usize::from(asked.request.told().copy_source.is_there())
}

impl Parameter<'_> {
    /// The value, where there is exactly one.
    pub(in crate::catalog) fn once(&self) -> Option<&str> {
        match self {
            Self::Once(value) => Some(value),
            Self::Never | Self::Often => None,
        }
    }
}
