//! "Did you mean": the name that a wrong one most likely stands for.

/// The name among `names` that is most like `wrong`; nothing where none is like it.
pub(super) fn suggestion<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let folded = fold(wrong);
    let likeness = |name: &str| {
        let name = fold(name);
        if name == folded { 2.0 } else { strsim::jaro_winkler(&name, &folded) }
    };
    let best =
        names.into_iter().map(|name| (likeness(name), name)).max_by(|one, other| one.0.total_cmp(&other.0));
    best.filter(|(likeness, _)| *likeness >= LIKE_ENOUGH).map(|(_, name)| name)
}

/// From this on two names look like one that was mistyped.
const LIKE_ENOUGH: f64 = 0.88;
/// The shortest name of which a letter may be wrong.
const SHORTEST: usize = 6;

/// Whether `wrong` is hardly anything but `name` with a slip: in other letters, or with one of them wrong.
pub(super) fn is_slip(wrong: &str, name: &str) -> bool {
    let (wrong, name) = (fold(wrong), fold(name));
    wrong == name || wrong.len() >= SHORTEST && strsim::osa_distance(&wrong, &name) == 1
}

/// What does not matter when names are compared: case, and how words are joined.
fn fold(name: &str) -> String {
    name.chars().filter(|char| !matches!(char, '-' | '_')).flat_map(char::to_lowercase).collect()
}
