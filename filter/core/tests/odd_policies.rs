//! Texts that are almost policies: whatever they say, compiling and evaluating them ends, without a panic and within the
//! work that is given. The fuzz targets in `fuzz/` do the same for as long as they are let.

use std::{fs, path::Path};

use hexr_authz_core::{
    policy::{Data, Input, Insight, Library, Module, Moment, Question, RulePath},
    timestamp::Timestamp,
};

/// What mutants are made of: the fuzz targets' first texts, which are ordinary policies.
fn texts() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/policy");
    let mut paths: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read_to_string(path).ok()).collect()
}

/// Numbers that follow from a seed, by SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(limit.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}

/// Words and signs that mean something.
const PARTS: [&str; 40] = [
    "not ",
    "some x in ",
    "every x in ",
    " with input as ",
    " with data.hexr as {}",
    " := ",
    " = ",
    " == ",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "_",
    "|",
    "&",
    "-",
    "1e308",
    "9007199254740993",
    "-0",
    "\"",
    "`",
    "input",
    "data",
    "data[x]",
    ".role",
    "[_]",
    "count(",
    "walk(input)",
    "numbers.range(1, 1000000)",
    "time.now_ns()",
    "sprintf(\"%999d\", [1])",
    "else := ",
    "default ",
    "contains ",
    " if ",
    "\n",
    ";",
    "é",
];

fn mutant(texts: &[String], random: &mut Random) -> String {
    let pick = |random: &mut Random| texts.get(random.below(texts.len())).cloned().unwrap_or_default();
    let mut lines: Vec<String> = pick(random).lines().map(str::to_owned).collect();
    for _ in 0..=random.below(6) {
        let at = random.below(lines.len());
        match random.below(4) {
            0 => drop(lines.get(at).is_some().then(|| lines.remove(at))),
            1 => {
                let other = pick(random);
                let taken = other.lines().nth(random.below(other.lines().count())).unwrap_or_default();
                lines.insert(at, taken.to_owned());
            }
            2 => {
                let Some(line) = lines.get_mut(at) else { continue };
                let places: Vec<usize> = line.char_indices().map(|(place, _)| place).collect();
                let place = places.get(random.below(places.len())).copied().unwrap_or(0);
                line.insert_str(place, PARTS.get(random.below(PARTS.len())).copied().unwrap_or_default());
            }
            _ => {
                let Some(line) = lines.get_mut(at) else { continue };
                let places: Vec<usize> = line.char_indices().map(|(place, _)| place).collect();
                let place = places.get(random.below(places.len())).copied().unwrap_or(0);
                line.truncate(place);
            }
        }
    }
    lines.join("\n")
}

#[test]
fn almost_policies_end() {
    let texts = texts();
    assert!(texts.len() >= 4, "the first texts are there");
    let mut random = Random(2026);
    let (mut compiled, mut answered, mut explained) = (0, 0, 0);
    let Some(allow) = RulePath::parse("hexr/authz/allow") else { return };
    let moment = Moment { now: Timestamp::from_unix_nanos(1), seed: 0, is_over: &|_| false };
    for _ in 0..6_000 {
        let text = mutant(&texts, &mut random);
        let modules = [Module { path: "a.rego".to_owned(), text, dialect: None }];
        let Ok(library) = Library::compile(&modules, &Data::default()) else { continue };
        compiled += 1;
        let Ok(insight) = Insight::new(&modules) else { continue };
        for input in
            [Some("{\"role\": \"editor\", \"n\": [1, \"é\", null], \"tenant\": {}}"), Some("[]"), None]
        {
            for is_indexed in [true, false] {
                let question = Question { path: &[], input, now_ns: 1, work: 20_000, is_indexed };
                let answer = library.ask(question);
                assert_eq!(library.ask_recorded(question), answer, "recording changes nothing");
                answered += usize::from(answer.is_ok());
            }
            let input = input.map_or(Input::none(), |text| Input::from_json(text).unwrap_or(Input::none()));
            explained += usize::from(library.explain(&insight, &allow, &input, moment).is_some());
        }
    }
    assert!(compiled > 500 && answered > 500, "{compiled} of the texts compile, {answered} answers");
    assert!(explained > 50, "{explained} explanations");
}
