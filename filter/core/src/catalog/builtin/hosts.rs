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
    let mut pieces = Pieces::new();
    for label in host.rsplit('.') {
        let number = table.number(label.as_bytes()).or_else(|| s3_express(table, label));
        pieces.push(Piece { text: label, number, is_region: is_region(label) }).ok()?;
    }
    let found = best(table, pieces.as_slice());
    if found.is_some() || !host.ends_with(GOOGLE) {
        return found;
    }
    // `us-central1-aiplatform`: a location is glued to the name.
    let label = pieces.pop()?.text;
    let split = label.match_indices('-').find_map(|(at, _)| {
        let (location, name) = label.split_at_checked(at)?;
        let name = name.strip_prefix('-')?;
        let number = is_location(location).then(|| table.number(format!("~{name}").as_bytes()))??;
        Some((name, number))
    });
    let (name, number) = split?;
    pieces.push(Piece { text: name, number: Some(number), is_region: false }).ok()?;
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
    let prefix = S3_EXPRESS.into_iter().find(|prefix| label.starts_with(prefix))?;
    let zone = label.strip_prefix(prefix)?;
    let is_zone =
        zone.split('-').count() == 2 && zone.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_zone.then(|| table.number(format!("{prefix}{{}}").as_bytes()))?
}

/// Whether a label is a region as AWS names them, `eu-central-1`, or one of Google's locations.
fn is_region(label: &str) -> bool {
    is_aws_region(label) || is_location(label)
}

fn is_aws_region(label: &str) -> bool {
    let mut parts = label.rsplit('-');
    let number =
        parts.next().is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    number && parts.clone().count() >= 2 && parts.all(is_word)
}

/// `us-central1`, or a multi-region as `eu`.
fn is_location(label: &str) -> bool {
    let name = label.trim_end_matches(|digit: char| digit.is_ascii_digit());
    let has_number = name.len() < label.len();
    if has_number {
        name.split('-').count() == 2 && name.split('-').all(is_word)
    } else {
        name.len() == 2 && is_word(name)
    }
}

fn is_word(part: &str) -> bool {
    part.len() >= 2 && part.bytes().all(|byte| byte.is_ascii_lowercase())
}
