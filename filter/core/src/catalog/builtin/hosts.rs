//! Finds the APIs of a host.

use std::borrow::Cow;

use super::{
    Apis,
    table::Table,
    trie::{self, Fit, Piece, Pieces},
};

/// What stands before the zone of an S3 directory bucket's host, longest first.
const S3_EXPRESS: [&str; 2] = ["s3express-fips-", "s3express-"];
const GOOGLE: &str = ".googleapis.com";

pub(super) fn find(table: &Table, host: &str) -> Option<Apis> {
    let mut pieces = Pieces::default();
    let mut rest = host;
    while let Some(at) = rest.bytes().rposition(|byte| byte == b'.') {
        let (before, label) = rest.split_at_checked(at)?;
        pieces.push(label_piece(table, label.get(1..)?)).ok()?;
        rest = before;
    }
    pieces.push(label_piece(table, rest)).ok()?;
    let found = best(table, pieces.as_slice());
    if found.is_some() || !host.ends_with(GOOGLE) {
        return found;
    }
    // `us-central1-aiplatform`: a location is glued to the name.
    let label = pieces.pop()?.text;
    let split = label.match_indices('-').find_map(|(at, _)| {
        let (location, name) = label.split_at_checked(at)?;
        let name = name.strip_prefix('-')?;
        let number = (Place::of(location) == Place::GoogleLocation)
            .then(|| table.number(format!("~{name}").as_bytes()))??;
        Some((name, number))
    });
    let (name, number) = split?;
    pieces.push(Piece::new(name).numbered(number)).ok()?;
    best(table, pieces.as_slice())
}

/// The APIs of the one template that is more specific than all others that fit.
fn best(table: &Table, labels: &[Piece<'_>]) -> Option<Apis> {
    let mut best: Option<Fit> = None;
    let mut is_clear = true;
    trie::walk(table, table.hosts(), labels, &mut |fit| match &best {
        Some(first) if first.specificity.dominates(fit.specificity) => {}
        Some(first) => {
            is_clear = is_clear && fit.specificity.dominates(first.specificity);
            best = Some(fit);
        }
        None => best = Some(fit),
    });
    best.filter(|_| is_clear).map(|fit| Apis { numbers: Cow::Borrowed(fit.leaves) })
}

/// The literal that stands for all zones: `s3express-{}`.
fn s3_express(table: &Table, label: &str) -> Option<super::table::TextNumber> {
    if !label.starts_with("s3express") {
        return None;
    }
    let prefix = S3_EXPRESS.into_iter().find(|prefix| label.starts_with(prefix))?;
    let zone = label.strip_prefix(prefix)?;
    let is_zone =
        zone.split('-').count() == 2 && zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_zone.then(|| table.number(format!("{prefix}{{}}").as_bytes()))?
}

fn label_piece<'h>(table: &Table, label: &'h str) -> Piece<'h> {
    let piece = Piece::new(label).region(Place::of(label) != Place::None);
    match s3_express(table, label) {
        Some(number) => piece.numbered(number),
        None => piece,
    }
}

/// What kind of place a label is the name of, by its form: new ones are known too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    None,
    /// `eu-central-1`
    AwsRegion,
    /// `us-central1`, or several regions, as `eu`
    GoogleLocation,
}

impl Place {
    fn of(label: &str) -> Self {
        let (mut dashes, mut letters, mut digits) = (0, 0, 0);
        for byte in label.bytes() {
            match byte {
                b'a'..=b'z' if digits == 0 => letters += 1,
                b'0'..=b'9' => digits += 1,
                b'-' if digits == 0 && letters >= 2 => (dashes, letters) = (dashes + 1, 0),
                _ => return Self::None,
            }
        }
        match (dashes, letters, digits) {
            (2.., 0, 1..) => Self::AwsRegion,
            (1, 2.., 1..) | (0, 2, 0) => Self::GoogleLocation,
            _ => Self::None,
        }
    }
}
