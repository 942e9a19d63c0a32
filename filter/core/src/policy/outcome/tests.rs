use super::*;

fn read_by(author: Author, answer: &str) -> Result<Outcome, String> {
    Outcome::read(&Value::from_json_str(answer).unwrap(), author)
}

#[track_caller]
fn check(answer: &str, expect: &Outcome) {
    assert_eq!(read_by(Author::Platform, answer).as_ref(), Ok(expect), "{answer}");
}

#[track_caller]
fn check_mistakes(author: Author, answer: &str, expect: &str) {
    assert_eq!(read_by(author, answer), Err(expect.to_owned()), "{answer}");
}

fn list(headers: &[(&str, &str)]) -> Vec<Header> {
    headers
        .iter()
        .map(|(name, value)| Header { name: (*name).to_owned(), value: (*value).to_owned() })
        .collect()
}

fn consent() -> Consent {
    Consent::default()
}

fn rejection() -> Rejection {
    Rejection::default()
}

/// Fields of the object, as an answer that allows and as one that denies.
fn both(fields: &str) -> [String; 2] {
    ["true", "false"].map(|allowed| format!(r#"{{"allowed": {allowed}, {fields}}}"#))
}

#[test]
fn only_a_real_true_allows() {
    check("true", &Outcome::Allow(consent()));
    check("false", &Outcome::Deny(rejection()));
    assert_eq!(Outcome::read(&Value::Undefined, Author::Platform), Ok(Outcome::Deny(rejection())));
    check(r#"{"allowed": true}"#, &Outcome::Allow(consent()));
    check(r#"{"allowed": false}"#, &Outcome::Deny(rejection()));
    check(r#"{"allowed": true, "allow": false, "x": [1]}"#, &Outcome::Allow(consent()));
    let no_object = "must be a boolean or an object, but is ";
    for (answer, expect) in [
        ("null", format!("{no_object}null")),
        ("1", format!("{no_object}a number")),
        ("\"true\"", format!("{no_object}a string")),
        ("[true]", format!("{no_object}an array")),
        ("{}", "`allowed` is missing".to_owned()),
        (r#"{"allow": true}"#, "`allowed` is missing".to_owned()),
        (r#"{"allowed": "true"}"#, "`allowed` must be a boolean, but is a string".to_owned()),
        (r#"{"allowed": 1}"#, "`allowed` must be a boolean, but is a number".to_owned()),
        (r#"{"allowed": null}"#, "`allowed` must be a boolean, but is null".to_owned()),
        (r#"{"allowed": [true]}"#, "`allowed` must be a boolean, but is an array".to_owned()),
    ] {
        check_mistakes(Author::Platform, answer, &expect);
    }
    let set = Value::from(std::collections::BTreeSet::from([Value::Bool(true)]));
    assert_eq!(Outcome::read(&set, Author::Platform), Err(format!("{no_object}a set")));
}

#[test]
fn an_answer_that_allows() {
    for (fields, expect) in [
        (
            r#""headers": {"X-Class": "gold", "authorization": "Bearer t"}"#,
            Consent {
                request_headers: list(&[("authorization", "Bearer t"), ("x-class", "gold")]),
                ..consent()
            },
        ),
        (
            r#""headers": [{"x-b": ["2", "3"]}, {"x-a": "1"}, {"X-B": "4"}]"#,
            Consent {
                request_headers: list(&[("x-a", "1"), ("x-b", "2"), ("x-b", "3"), ("x-b", "4")]),
                ..consent()
            },
        ),
        (r#""headers": {"x-none": [], "x-empty": "", "x-tab": "a\tb", "x-wide": "é"}"#, {
            let headers = list(&[("x-empty", ""), ("x-tab", "a\tb"), ("x-wide", "é")]);
            Consent { request_headers: headers, ..consent() }
        }),
        (
            r#""request_headers_to_remove": ["Cookie", "x-debug"]"#,
            Consent {
                request_headers_to_remove: vec!["cookie".to_owned(), "x-debug".to_owned()],
                ..consent()
            },
        ),
        (
            r#""response_headers_to_add": {"Set-Cookie": ["a=1", "b=2"], "host": "h", "x-amz-request-id": "r"}"#,
            Consent {
                response_headers: list(&[
                    ("host", "h"),
                    ("set-cookie", "a=1"),
                    ("set-cookie", "b=2"),
                    ("x-amz-request-id", "r"),
                ]),
                ..consent()
            },
        ),
        // What shapes a denial is checked and not used.
        (r#""body": "no", "http_status": 200"#, consent()),
        (r#""headers": {}, "request_headers_to_remove": [], "response_headers_to_add": []"#, consent()),
        (r#""query_parameters_to_set": {}, "query_parameters_to_remove": []"#, consent()),
        (
            r#""reason": "on call", "dynamic_metadata": {"n": 1.5, "list": [null, true], "of": {"a": "b"}}"#,
            Consent {
                remarks: Remarks {
                    reason: Some("on call".to_owned()),
                    metadata: serde_json::from_str(r#"{"n": 1.5, "list": [null, true], "of": {"a": "b"}}"#)
                        .unwrap(),
                },
                ..consent()
            },
        ),
    ] {
        let [answer, _] = both(fields);
        check(&answer, &Outcome::Allow(expect));
    }
}

#[test]
fn an_answer_that_denies() {
    for (fields, expect) in [
        (r#""http_status": 429"#, Rejection { status: Some(429), ..rejection() }),
        (r#""http_status": 503, "body": """#, {
            Rejection { status: Some(503), body: Some(String::new()), ..rejection() }
        }),
        (
            r#""body": "slow down", "headers": {"Retry-After": "30", "content-type": "text/html"}"#,
            Rejection {
                headers: list(&[("content-type", "text/html"), ("retry-after", "30")]),
                body: Some("slow down".to_owned()),
                ..rejection()
            },
        ),
        (
            r#""http_status": 302, "headers": {"location": "https://login.example/"}"#,
            Rejection {
                status: Some(302),
                headers: list(&[("location", "https://login.example/")]),
                ..rejection()
            },
        ),
        (
            r#""headers": {"x-amz-request-id": "r", "www-authenticate": ["Basic", "Bearer"]}"#,
            Rejection {
                headers: list(&[
                    ("www-authenticate", "Basic"),
                    ("www-authenticate", "Bearer"),
                    ("x-amz-request-id", "r"),
                ]),
                ..rejection()
            },
        ),
        // What changes a forwarded request is checked and not used: there is none.
        (r#""request_headers_to_remove": ["host"], "query_parameters_to_remove": ["q"]"#, rejection()),
        (
            r#""query_parameters_to_set": {"a": "b", "c": ["d"]}, "response_headers_to_add": {"a": "b"}"#,
            rejection(),
        ),
        (
            r#""reason": "over 100 calls", "dynamic_metadata": {"calls": 101}"#,
            Rejection {
                remarks: Remarks {
                    reason: Some("over 100 calls".to_owned()),
                    metadata: serde_json::from_str(r#"{"calls": 101}"#).unwrap(),
                },
                ..rejection()
            },
        ),
    ] {
        let [_, answer] = both(fields);
        check(&answer, &Outcome::Deny(expect));
    }
}

/// Whether the answer allows or denies, and whether the field would have been used or not.
#[test]
fn wrong_types() {
    for (fields, expect) in [
        (r#""headers": "x""#, "`headers` must be an object or an array of objects, but is a string"),
        (r#""headers": null"#, "`headers` must be an object or an array of objects, but is null"),
        (r#""headers": ["x"]"#, "`headers` must hold objects, but one is a string"),
        (r#""headers": [["x"]]"#, "`headers` must hold objects, but one is an array"),
        (
            r#""headers": {"x-n": 1}"#,
            "`headers.x-n` must be a string or an array of strings, but is a number",
        ),
        (
            r#""headers": {"x-n": {}}"#,
            "`headers.x-n` must be a string or an array of strings, but is an object",
        ),
        (r#""headers": {"x-n": ["a", 1]}"#, "`headers.x-n` must hold strings, but one is a number"),
        (r#""headers": {"x n": "a"}"#, "`headers`: `x n` is not the name of a header"),
        (r#""headers": {"": "a"}"#, "`headers`: `` is not the name of a header"),
        (r#""headers": {"x\r\n": "a"}"#, r"`headers`: `x\r\n` is not the name of a header"),
        (r#""headers": {"é": "a"}"#, "`headers`: `é` is not the name of a header"),
        (r#""headers": {"x-a": "b\r\nx-c: d"}"#, "`headers.x-a`: its value contains a control character"),
        (r#""headers": {"x-a": ["b\u0000"]}"#, "`headers.x-a`: its value contains a control character"),
        (r#""headers": {"x-a": "b "}"#, "`headers.x-a`: its value begins or ends with a space"),
        (
            r#""response_headers_to_add": 1"#,
            "`response_headers_to_add` must be an object or an array of objects, but is a number",
        ),
        (
            r#""request_headers_to_remove": {"a": "b"}"#,
            "`request_headers_to_remove` must be an array of strings, but is an object",
        ),
        (
            r#""request_headers_to_remove": "a""#,
            "`request_headers_to_remove` must be an array of strings, but is a string",
        ),
        (
            r#""request_headers_to_remove": [null]"#,
            "`request_headers_to_remove` must hold strings, but one is null",
        ),
        (
            r#""request_headers_to_remove": ["a b"]"#,
            "`request_headers_to_remove`: `a b` is not the name of a header",
        ),
        (r#""query_parameters_to_set": []"#, "`query_parameters_to_set` must be an object, but is an array"),
        (
            r#""query_parameters_to_remove": "q""#,
            "`query_parameters_to_remove` must be an array of strings, but is a string",
        ),
        (r#""body": {"a": 1}"#, "`body` must be a string, but is an object"),
        (r#""body": null"#, "`body` must be a string, but is null"),
        (r#""http_status": "429""#, "`http_status` must be a number, but is a string"),
        (r#""http_status": 429.5"#, "`http_status` is 429.5, which is no HTTP status"),
        (r#""http_status": -403"#, "`http_status` is -403, which is no HTTP status"),
        (r#""http_status": 418"#, "`http_status` is 418, which is no HTTP status"),
        (r#""http_status": 0"#, "`http_status` is 0, which is no HTTP status"),
        (r#""http_status": 65939"#, "`http_status` is 65939, which is no HTTP status"),
        (r#""http_status": null"#, "`http_status` must be a number, but is null"),
        (r#""dynamic_metadata": []"#, "`dynamic_metadata` must be an object, but is an array"),
        (r#""dynamic_metadata": "x""#, "`dynamic_metadata` must be an object, but is a string"),
        (r#""reason": ["a"]"#, "`reason` must be a string, but is an array"),
        (r#""reason": null"#, "`reason` must be a string, but is null"),
    ] {
        for answer in both(fields) {
            check_mistakes(Author::Platform, &answer, expect);
        }
    }
    for value in ["1", "[1]", "null", "{}"] {
        for answer in both(&format!(r#""query_parameters_to_set": {{"a": {value}}}"#)) {
            let error = read_by(Author::Platform, &answer).unwrap_err();
            assert!(error.contains("`query_parameters_to_set` must "), "{error}");
        }
    }
}

#[test]
fn what_was_judged_stays_as_it_is() {
    let check = |fields: &str, expect: &str| {
        let [answer, _] = both(fields);
        check_mistakes(Author::Platform, &answer, expect);
    };
    for (name, claim) in [
        (":path", "is a pseudo-header"),
        (":authority", "is a pseudo-header"),
        ("host", "says what was judged"),
        ("content-type", "says what was judged"),
        ("x-http-method-override", "says what was judged"),
        ("x_amz_target", "says what was judged"),
        ("x-goog-user-project", "says what was judged"),
        ("x-hexr-role", "is the filter's own"),
        ("x_hexr-tenant", "is the filter's own"),
        ("transfer-encoding", "belongs to the connection"),
        ("content-length", "belongs to the connection"),
        ("connection", "belongs to the connection"),
        ("te", "belongs to the connection"),
    ] {
        let claim = format!("`{name}` {claim} and is not the policy's to change");
        check(&format!(r#""headers": {{"{}": "v"}}"#, name.to_uppercase()), &format!("`headers`: {claim}"));
        check(&format!(r#""headers": [{{"{name}": ["v", "w"]}}]"#), &format!("`headers`: {claim}"));
        check(
            &format!(r#""request_headers_to_remove": ["{name}"]"#),
            &format!("`request_headers_to_remove`: {claim}"),
        );
    }
    check(
        r#""query_parameters_to_set": {"a": "b"}"#,
        "`query_parameters_to_set` would change the query that was judged",
    );
    check(
        r#""query_parameters_to_remove": ["a"]"#,
        "`query_parameters_to_remove` would change the query that was judged",
    );
}

#[test]
fn a_reply_stays_a_reply() {
    for (name, claim) in [
        (":status", "is a pseudo-header"),
        ("content-length", "belongs to the connection"),
        ("Transfer-Encoding", "belongs to the connection"),
        ("connection", "belongs to the connection"),
        ("x-hexr-decision-id", "is the filter's own"),
        ("X_Hexr_Decision_Id", "is the filter's own"),
        ("grpc-status", "says how a gRPC call ended"),
        ("content-encoding", "says how the body is written"),
    ] {
        let claim = format!("`{}` {claim} and is not the policy's to change", name.to_lowercase());
        let [_, deny] = both(&format!(r#""headers": {{"{name}": "0"}}"#));
        check_mistakes(Author::Platform, &deny, &format!("`headers`: {claim}"));
        let [allow, _] = both(&format!(r#""response_headers_to_add": {{"{name}": "0"}}"#));
        check_mistakes(Author::Platform, &allow, &format!("`response_headers_to_add`: {claim}"));
    }
    let no_refusal = "which is no refusal: use 400 or above, or a redirect with the header `location`";
    for (status, headers) in [
        (100, "{}"),
        (200, "{}"),
        (204, "{}"),
        (226, r#"{"location": "/x"}"#),
        (301, "{}"),
        (302, r#"{"x-location": "/x"}"#),
        (304, r#"{"location": "/x"}"#),
    ] {
        let [allow, deny] = both(&format!(r#""http_status": {status}, "headers": {headers}"#));
        check_mistakes(Author::Platform, &deny, &format!("`http_status` is {status}, {no_refusal}"));
        assert!(read_by(Author::Platform, &allow).is_ok(), "{allow}");
    }
    let [allow, _] = both(r#""response_headers_to_add": {"content-type": "text/html"}"#);
    check_mistakes(
        Author::Platform,
        &allow,
        "`response_headers_to_add`: `content-type` would stand there twice",
    );
    let [_, deny] = both(r#""headers": [{"content-type": "text/html"}, {"Content-Type": "text/plain"}]"#);
    check_mistakes(Author::Platform, &deny, "`headers` gives more than one `content-type`");
}

#[test]
fn all_mistakes_at_once() {
    check_mistakes(
        Author::Platform,
        r#"{"allowed": "yes", "body": 1, "http_status": 299, "headers": {"a b": "c", "x-d": 1}, "reason": {}}"#,
        "`allowed` must be a boolean, but is a string; `reason` must be a string, but is an object; `body` must be a \
         string, but is a number; `http_status` is 299, which is no HTTP status; `headers`: `a b` is not the name of a \
         header; `headers.x-d` must be a string or an array of strings, but is a number",
    );
    let headers: Vec<String> = (0..20).map(|at| format!(r#""x-{at}": 1"#)).collect();
    let [answer, _] = both(&format!(r#""headers": {{{}}}"#, headers.join(",")));
    let error = read_by(Author::Platform, &answer).unwrap_err();
    assert!(error.ends_with("; and 4 more"), "{error}");
    // A mistake beside a good denial, or a good permission, leaves neither.
    for answer in both(r#""http_status": 403, "headers": {"x-a": "b"}, "body": 7"#) {
        check_mistakes(Author::Platform, &answer, "`body` must be a string, but is a number");
    }
}

#[test]
fn bounds() {
    let headers = |count: usize, length: usize| {
        let headers: Vec<String> =
            (0..count).map(|at| format!(r#""x{at:02}": "{}""#, "v".repeat(length))).collect();
        format!(r#""headers": {{{}}}"#, headers.join(","))
    };
    let values = |count: usize| format!(r#""headers": {{"x": {}}}"#, serde_json::json!(vec![""; count]));
    let objects = |count: usize| {
        format!(r#""headers": {}"#, serde_json::json!(vec![serde_json::json!({"x": ""}); count]))
    };
    let empty = |count: usize| {
        let headers: Vec<String> = (0..count).map(|at| format!(r#""x{at:02}": []"#)).collect();
        format!(r#""headers": {{{}}}"#, headers.join(","))
    };
    let hollow =
        |count: usize| format!(r#""headers": {}"#, serde_json::json!(vec![serde_json::json!({}); count]));
    let names =
        |count: usize| format!(r#""request_headers_to_remove": {}"#, serde_json::json!(vec!["x"; count]));
    let name = |length: usize| format!(r#""headers": {{"{}": "v"}}"#, "n".repeat(length));
    let no_name = format!("`headers`: `{}…` is not the name of a header", "n".repeat(64));
    let body = |length: usize| format!(r#""body": "{}""#, "b".repeat(length));
    let nested =
        |depth: usize| format!(r#""dynamic_metadata": {{"a": {}1{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let metadata = |length: usize| format!(r#""dynamic_metadata": {{"a": "{}"}}"#, "m".repeat(length));
    let too_many = "`headers` gives more than 64 headers";
    let heavy = "`dynamic_metadata` is nested deeper than 16 levels or larger than 65536 bytes";
    for (fits, does_not, expect) in [
        (headers(64, 1), headers(65, 1), too_many),
        (values(64), values(65), too_many),
        (values(64), values(100_000), too_many),
        (objects(64), objects(65), too_many),
        (empty(64), empty(65), too_many),
        (hollow(64), hollow(65), too_many),
        (names(64), names(65), "`request_headers_to_remove` gives more than 64 headers"),
        (headers(1, 16_381), headers(1, 16_382), "`headers` is longer than 16384 bytes"),
        (headers(1, 16_381), headers(1, 16_385), "`headers.x00`: its value is longer than 16384 bytes"),
        (name(256), name(257), &no_name),
        (headers(64, 253), headers(64, 254), "`headers` is longer than 16384 bytes"),
        (body(65_536), body(65_537), "`body` is longer than 65536 bytes"),
        (nested(14), nested(15), heavy),
        (metadata(65_536 - 49), metadata(65_536 - 48), heavy),
    ] {
        for answer in both(&fits) {
            assert!(read_by(Author::Platform, &answer).is_ok(), "{answer}");
        }
        for answer in both(&does_not) {
            check_mistakes(Author::Platform, &answer, expect);
        }
    }
}

#[test]
fn reasons_are_short_and_on_one_line() {
    let long = "é".repeat(600);
    let cut = format!("{}…", "é".repeat(512));
    for (reason, expect) in [
        ("over 100 calls", "over 100 calls"),
        ("a\nb\u{0}\u{1b}c", r"a\nb\u{0}\u{1b}c"),
        ("", ""),
        (&long, &cut),
    ] {
        for answer in both(&format!(r#""reason": {}"#, serde_json::json!(reason))) {
            let remarks = match read_by(Author::Platform, &answer).unwrap() {
                Outcome::Allow(consent) => consent.remarks,
                Outcome::Deny(rejection) => rejection.remarks,
            };
            assert_eq!(remarks.reason.as_deref(), Some(expect));
        }
    }
}

#[test]
fn metadata_names_the_decision() {
    let id = DecisionId::from_random([0; 16]);
    for (metadata, expect) in [
        ("{}", r#"{"decision_id":"00000000-0000-4000-8000-000000000000"}"#),
        (
            r#"{"decision_id": "forged", "a": {"decision_id": 1}, "big": 1768473000250000000}"#,
            r#"{"a":{"decision_id":1},"big":1768473000250000000,"decision_id":"00000000-0000-4000-8000-000000000000"}"#,
        ),
    ] {
        let remarks = Remarks { reason: None, metadata: serde_json::from_str(metadata).unwrap() };
        assert_eq!(remarks.metadata_of(&id).as_deref(), Some(expect));
    }
    assert_eq!(Remarks::default().metadata_of(&id), None);
}

/// OPA's answer goes through JSON, where sets are arrays and keys are strings.
#[test]
fn values_that_json_has_not() {
    let set = |texts: &[&str]| {
        Value::from(texts.iter().map(|text| Value::from(*text)).collect::<std::collections::BTreeSet<_>>())
    };
    let object = |fields: Vec<(Value, Value)>| {
        Value::from(fields.into_iter().collect::<std::collections::BTreeMap<_, _>>())
    };
    let answer = |field: &str, value: Value| {
        object(vec![(Value::from("allowed"), Value::Bool(true)), (Value::from(field), value)])
    };
    let read = |field: &str, value| Outcome::read(&answer(field, value), Author::Platform);
    let removed = vec!["x-a".to_owned(), "x-b".to_owned()];
    assert_eq!(
        read("request_headers_to_remove", set(&["x-b", "x-a"])),
        Ok(Outcome::Allow(Consent { request_headers_to_remove: removed, ..consent() }))
    );
    assert_eq!(
        read("headers", object(vec![(Value::from("x-a"), set(&["2", "1"]))])),
        Ok(Outcome::Allow(Consent { request_headers: list(&[("x-a", "1"), ("x-a", "2")]), ..consent() }))
    );
    assert_eq!(
        read("headers", object(vec![(Value::from(1u64), Value::from("v"))])),
        Err("`headers`: a header's name must be a string, but one is a number".to_owned())
    );
    let metadata = object(vec![(Value::from(1u64), set(&["a"]))]);
    let remarks = Remarks { reason: None, metadata: serde_json::from_str(r#"{"1": ["a"]}"#).unwrap() };
    assert_eq!(read("dynamic_metadata", metadata), Ok(Outcome::Allow(Consent { remarks, ..consent() })));
}

#[test]
fn a_tenant_may_only_shape_its_denials() {
    let read = |answer: &str| read_by(Author::Tenant, answer);
    assert_eq!(read("true"), Ok(Outcome::Allow(consent())));
    assert_eq!(
        read(r#"{"allowed": false, "http_status": 429, "body": "b", "reason": "r", "other": 1}"#),
        Ok(Outcome::Deny(Rejection {
            status: Some(429),
            body: Some("b".to_owned()),
            remarks: Remarks { reason: Some("r".to_owned()), metadata: None },
            ..rejection()
        }))
    );
    for field in [
        r#""headers": {}"#,
        r#""response_headers_to_add": {}"#,
        r#""request_headers_to_remove": []"#,
        r#""query_parameters_to_set": {}"#,
        r#""query_parameters_to_remove": []"#,
        r#""dynamic_metadata": {}"#,
    ] {
        for answer in both(field) {
            let name = field.split('"').nth(1).unwrap();
            check_mistakes(Author::Tenant, &answer, &format!("`{name}` is not a tenant's to give"));
        }
    }
    for status in [500, 503] {
        for answer in both(&format!(r#""http_status": {status}"#)) {
            check_mistakes(
                Author::Tenant,
                &answer,
                &format!("`http_status` is {status}: a tenant's is 400 to 499"),
            );
        }
    }
}
