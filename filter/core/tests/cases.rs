//! The decision cases of the default policies, natively.

use std::{collections::BTreeMap, fs, path::Path};

use hexr_authz_core::cases::{Cases, Judge};

/// The text of every file below `folder` with this ending, by its path there.
fn texts(folder: &Path, ending: &str) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        let entries = fs::read_dir(&current).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
                texts.insert(name, fs::read_to_string(&path).unwrap_or_default());
            }
        }
    }
    texts
}

#[test]
fn every_case_is_decided_as_it_says() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let files: Vec<(String, String)> = texts(&policies.join("cases"), ".yaml").into_iter().collect();
    let config = fs::read_to_string(policies.join("cases/config.json")).unwrap();
    let cases = Cases::read(("config.json", &config), &files).unwrap();
    let mut modules = texts(&policies, ".rego");
    modules.retain(|name, _| !name.ends_with("_test.rego"));
    let data = fs::read_to_string(policies.join("data.json")).unwrap();
    let judge = Judge::new(&cases, &modules, serde_json::from_str(&data).unwrap()).unwrap();

    let mut wrong = Vec::new();
    for file in cases.files() {
        for (group, case) in
            file.groups.iter().flat_map(|(group, cases)| cases.iter().map(move |case| (group, case)))
        {
            if let Err(differences) = judge.check(case) {
                wrong.push(format!(
                    "{}:{}: {group}: {}: {differences}",
                    file.path,
                    file.line_of(case),
                    case.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.iter().count() >= 40);
}
