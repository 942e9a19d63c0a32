use super::*;

#[test]
fn names_are_unique() {
    let mut seen = std::collections::HashSet::new();
    for name in names() {
        assert!(seen.insert(name), "{name}");
    }
}
