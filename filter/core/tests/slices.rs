//! Long work gives way all the time, however large a bundle is. What lies between two places where it may be interrupted
//! is told in pieces of memory that are taken or freed there: unlike time, they are the same on every machine.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fmt::Write as _,
    rc::Rc,
};

use anyhow::{Context as _, Result};
use hexr_authz_core::{
    audit_log::AuditLog,
    bundle::{Bundle, BundleLimits, SourceFile, pack},
    delivery::Digest,
    pace::{Pace, Slices},
    policy::{Budget, Moment, Policy, RulePath},
    timestamp::Timestamp,
};

/// The system's memory, with a count of what is taken of it and given back.
struct Counting;

#[global_allocator]
static MEMORY: Counting = Counting;

thread_local! {
    static PIECES: Cell<usize> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "the interface of memory: everything is handed on to the system's")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PIECES.set(PIECES.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        PIECES.set(PIECES.get() + 1);
        unsafe { System.dealloc(memory, layout) }
    }
}

/// The most pieces of memory between two places: a millisecond or so.
const MOST_PIECES: usize = 25_000;
const LIMITS: BundleLimits = BundleLimits { compressed: 1 << 24 };
const BUDGET: Budget = Budget { milliseconds: 50 };
const NOW: Timestamp = Timestamp::from_unix_nanos(1_800_000_000_000_000_000);

/// Does `work`, and interrupts it wherever it may be.
#[track_caller]
fn check<T, W: Future<Output = T> + 'static>(name: &str, work: impl FnOnce(Pace) -> W) -> T {
    let last = Rc::new(Cell::new(0));
    let most = Rc::new(Cell::new(0));
    let note = {
        let (last, most) = (Rc::clone(&last), Rc::clone(&most));
        move || most.set(most.get().max(PIECES.get() - last.replace(PIECES.get())))
    };
    let pace = Pace::new({
        let note = note.clone();
        move || {
            note();
            true
        }
    });
    let mut work = Slices::of(work(pace));
    let mut slices = 1_usize;
    let begun = PIECES.get();
    last.set(begun);
    let result = loop {
        if let Some(result) = work.run() {
            break result;
        }
        slices += 1;
    };
    note();
    let all = PIECES.get() - begun;
    let most = most.get();
    assert!(most <= MOST_PIECES, "{name}: {most} of {all} pieces of memory in one of {slices} slices");
    result
}

/// Activates a bundle of these files, asks it, and takes it apart.
fn check_bundle(name: &str, files: &[(&str, &str)], input: &str) -> Result<()> {
    let file = |(path, content): &(&str, &str)| SourceFile {
        path: (*path).to_owned(),
        content: content.as_bytes().to_vec(),
    };
    let bytes = pack(&files.iter().map(file).collect::<Vec<_>>(), "r1").map_err(anyhow::Error::msg)?;
    let bundle = check(&format!("{name}: read"), |pace| async move {
        Bundle::read_in(&bytes, LIMITS, None, NOW, &pace).await
    });
    let Bundle { modules, data, .. } = bundle?;
    let rule = RulePath::parse("p/allow").context("this is no path")?;
    let policy = check(&format!("{name}: compile"), |pace| async move {
        Policy::compile_in(&modules, &data, &rule, BUDGET, &AuditLog::default(), &pace).await
    })?;
    let moment = Moment { now: NOW, seed: 0, is_over: &|_| false };
    assert!(policy.answer(input, moment).is_ok(), "{name}");
    check(&format!("{name}: retire"), |pace| async move { policy.retire(&pace).await });
    Ok(())
}

/// A text for each of 4,000 numbers.
fn many(text: impl Fn(usize) -> String) -> String {
    (0..4000).map(text).collect()
}

#[test]
fn many_definitions_of_one_rule() -> Result<()> {
    let rule =
        |at| format!("allow if {{\n\tinput.tenant == \"t{at}\"\n\tinput.role in {{\"r{at}\", \"x\"}}\n}}\n");
    let input = r#"{"tenant": "t3999", "role": "x"}"#;
    let module = format!("package p\nimport data.users\n{}", many(rule));
    check_bundle("v1", &[("p.rego", &module)], input)?;
    let module = format!("package p\n{}", many(|at| rule(at).replace(" if ", " ")));
    check_bundle("v0 without imports", &[("p.rego", &module)], input)
}

#[test]
fn many_rules() -> Result<()> {
    let module = format!(
        "package p\nallow if {{ r3999; f3999(input.role) }}\n{}",
        many(|at| format!(
            "r{at} if input.tenant in {{\"t{at}\", \"x\"}}\nf{at}(role) if role == \"r{at}\"\nobject[\"k{at}\"] := {at}\nset contains {at}\n"
        ))
    );
    check_bundle("many rules", &[("p.rego", &module)], r#"{"tenant": "x", "role": "r3999"}"#)
}

#[test]
fn many_definitions_that_need_many() -> Result<()> {
    let module = format!(
        "package p\n{}",
        many(|at| format!(
            "allow if {{\n\tis_known\n\tis_of(input.role)\n\tinput.action == \"a{at}\"\n}}\nis_known if input.tenant == \"t{at}\"\nis_of(role) if role == \"r{at}\"\n"
        ))
    );
    let input = r#"{"tenant": "t1", "role": "r2", "action": "a3999"}"#;
    check_bundle("rules of rules", &[("p.rego", &module)], input)
}

#[test]
fn many_looks_into_the_past() -> Result<()> {
    let module = format!(
        "package p\n{}",
        many(|at| format!(
            "allow if {{\n\tinput.tenant == \"t{at}\"\n\tcount([call | some call in data.audit_log; call.agent == input.agent; \
         call.timestamp > time.now_ns() - 1000000000]) < 5\n}}\n"
        ))
    );
    check_bundle("looks", &[("p.rego", &module)], r#"{"tenant": "t7", "agent": "a"}"#)
}

#[test]
fn many_modules() -> Result<()> {
    let modules: Vec<(String, String)> = (0..4000)
        .map(|at| (format!("m/{at}.rego"), format!("package p\nallow if input.tenant == \"t{at}\"\n")))
        .collect();
    let files: Vec<(&str, &str)> =
        modules.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    check_bundle("modules", &files, r#"{"tenant": "t7"}"#)
}

#[test]
fn much_data() -> Result<()> {
    let mut fields = String::new();
    for at in 0..20_000 {
        let comma = if at == 0 { "" } else { "," };
        write!(
            fields,
            r#"{comma}"user-{at}": {{"roles": ["r{at}", "é\n"], "level": {at}, "share": 0.{at}}}"#
        )
        .unwrap();
    }
    let module = "package p\nallow if data.a.users[input.user].level == 19999";
    let more = format!("{{\"users\": {{{fields}}}, \"list\": [{}0]}}", "1,".repeat(20_000));
    let other = format!("{{\"users\": {{{}}}}}", fields.replace("user-", "other-"));
    let files = [("p.rego", module), ("a/data.json", &more), ("data.json", &format!("{{\"a\": {other}}}"))];
    check_bundle("data", &files, r#"{"user": "user-19999"}"#)
}

#[test]
fn a_digest() {
    let bytes = vec![7; 1 << 20];
    let expect = Digest::of(&bytes);
    let places = Rc::new(Cell::new(0));
    let pace = Pace::new({
        let places = Rc::clone(&places);
        move || {
            places.set(places.get() + 1);
            true
        }
    });
    let mut work = Slices::of(async move { Digest::of_in(&bytes, &pace).await });
    let digest = std::iter::repeat_with(|| work.run()).find_map(|result| result);
    assert_eq!(digest, Some(expect));
    assert!(places.get() >= 16, "{}", places.get());
}
