use super::*;

#[track_caller]
fn check_json(text: &str, is_read_in_slices: bool) {
    let read = finish(json::read(text.as_bytes(), &Pace::unhurried()));
    assert_eq!(read.is_some(), is_read_in_slices, "{text}");
    if let Some(value) = read {
        let expect = super::json(text).unwrap();
        assert_eq!(value, expect, "{text}");
        assert_eq!(format!("{value:?}"), format!("{expect:?}"), "{text}");
    }
}

#[test]
fn json_in_slices_is_what_it_is_in_one_go() {
    for text in [
        "{}",
        " [ ] ",
        "null",
        "\t{\"a\" : [1, -1, 0, -0, 999999999999999999, 1000000000000000000, 18446744073709551616]}\n",
        "[1.0, 1.50, -2e3, 1E+2, 1e-7, 0.1, -0.0, 123456789012345678901234567890.5, 9007199254740993]",
        r#"{"b": 1, "a": {"x": [], "y": {}}, "b": {"again": true}}"#,
        r#"["", "é", "\u00e9", "\"\\\/\b\f\n\r\t", "\ud83d\ude00", "a\u0000b"]"#,
        r#"{"": 0, "a\nb": 1, "a\u0062": 2, "ab": 3}"#,
        r#"[[[[[[1]]]]], true, false, null]"#,
        "[\"\u{7f}\u{2028}\"]",
    ] {
        check_json(text, true);
    }
    check_json(&format!("{}1{}", "[".repeat(120), "]".repeat(120)), true);
    let many: Vec<String> = (0..5000).rev().map(|number| format!("\"k{number}\": {number}")).collect();
    check_json(&format!("{{{}}}", many.join(",")), true);
}

#[test]
fn what_is_odd_is_not_read_in_slices() {
    for text in [
        "",
        "{",
        "[1,]",
        "[1 2]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a: 1}",
        "{1: 1}",
        "[01]",
        "[-]",
        "[1.]",
        "[.5]",
        "[1e]",
        "[+1]",
        "[--1]",
        "[1]]",
        "[1}",
        "{\"a\":1]",
        "nul",
        "truex",
        "[tru]",
        "\"a",
        "\"\\",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"a\nb\"",
        "\u{feff}{}",
        "[1] x",
        "[1e1001]",
        "'a'",
        r#"{"$serde_json::private::Number": "5"}"#,
    ] {
        check_json(text, false);
    }
    check_json(&format!("{}1{}", "[".repeat(121), "]".repeat(121)), false);
    assert!(finish(json::read(b"[\"\xff\"]", &Pace::unhurried())).is_none());
}

#[test]
fn errors_of_data() {
    let check = |text: &[u8], expect: &str| {
        let error = finish(Data::from_json_bytes_in(text, &Pace::unhurried())).unwrap_err();
        assert_eq!(error.to_string(), expect);
    };
    check(b"[1]", "data must be an object, but is an array");
    check(b"{\"a\":\n 1,}", "trailing comma at line 2 column 4");
    check(b"{\"a\":\n 1e9999}", &format!("line 2: {TOO_LARGE}"));
    check(b"{\"a\xff\": 1}", "this is not UTF-8: invalid utf-8 sequence of 1 bytes from index 3");
}

#[test]
fn what_lies_outside_of_roots() {
    let check = |text: &str, roots: &[&str], expect: Option<&str>| {
        let roots: Vec<String> = roots.iter().map(|root| (*root).to_owned()).collect();
        let outside = finish(Data::from_json(text).unwrap().outside(&roots, &Pace::unhurried()));
        assert_eq!(outside.map(|path| path.join(".")).as_deref(), expect, "{text} {roots:?}");
    };
    check("{}", &[], None);
    check("{}", &["a"], None);
    check("{\"a\": 1}", &[], Some("a"));
    check("{\"a\": 1}", &[""], None);
    check("{\"a\": 1}", &["/"], None);
    check("{\"a\": {\"b\": 1, \"c\": 2}}", &["a/b"], Some("a.c"));
    check("{\"a\": {\"b\": 1, \"c\": 2}}", &["a/b", "/a/c/"], None);
    check("{\"a\": {\"bc\": 1}}", &["a/b"], Some("a.bc"));
    check("{\"a\": {}}", &["a/b"], Some("a"));
    check("{\"a\": 1}", &["a/b"], Some("a"));
    check("{\"a\": {\"b\": {\"c\": {\"d\": 1}}, \"x\": 1}}", &["a/y", "a/b/z"], Some("a.b.c.d"));
    check("{\"a\": {\"b\": 1}, \"c\": {\"d\": {\"e\": 1}}}", &["a", "c/d/f"], Some("c.d.e"));
}

#[test]
fn merged() {
    let check = |one: &str, other: &str, expect: Result<&str, &str>| {
        for (one, other) in [(one, other), (other, one)] {
            let mut data = Data::from_json(one).unwrap();
            let merged = data.merge(Data::from_json(other).unwrap()).map(|()| data);
            let expect = expect.map(|text| Data::from_json(text).unwrap()).map_err(str::to_owned);
            assert_eq!(merged.map_err(|error| error.to_string()), expect, "{one} {other}");
        }
    };
    check("{}", "{\"a\":1}", Ok("{\"a\":1}"));
    check("{\"a\":1}", "{\"b\":1,\"c\":2}", Ok("{\"a\":1,\"b\":1,\"c\":2}"));
    check("{\"a\":{\"b\":1}}", "{\"a\":{\"c\":2},\"d\":{}}", Ok("{\"a\":{\"b\":1,\"c\":2},\"d\":{}}"));
    check("{\"a\":1}", "{\"a\":1}", Err("`data.a` is given twice"));
    check("{\"a\":{\"b\":1}}", "{\"a\":{\"b\":{}},\"x\":1}", Err("`data.a.b` is given twice"));
}
