//! The decision cases of the default policies, through a real Envoy: every row that can be had there. What a case comes
//! to natively it must come to here, and what is denied must not reach the credential exchange.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};
use hexr_authz_core::cases::{Case, Cases, RecentRow, Verdict, Word};
use integration::{
    agent::Answer,
    envoy_config::EnvoyConfig,
    eventually::eventually,
    policies::files_below,
    repository,
    stack::{Foundation, NOWHERE, PATIENCE, Stack},
};
use serde_json::Value;

/// How many cases cannot be had in Envoy, by the reason.
const ELSEWHERE: [(&str, usize); 4] = [
    ("Envoy's clock cannot be set", 28),
    ("Envoy's reader of HTTP/1.1 takes no method in small letters", 1),
    ("an input is no request", 10),
    ("the shipped listener takes no connection without a certificate", 1),
];

#[tokio::test]
async fn what_a_case_comes_to_it_comes_to_in_envoy() -> Result<()> {
    let cases = cases()?;
    let mut elsewhere: BTreeMap<&str, usize> = BTreeMap::new();
    let (rows, rest): (Vec<&Case>, Vec<&Case>) =
        cases.iter().partition(|case| case.why_not_in_envoy().is_none());
    for case in &rest {
        *elsewhere.entry(case.why_not_in_envoy().unwrap_or_default()).or_default() += 1;
    }
    assert_eq!(elsewhere, BTreeMap::from(ELSEWHERE));

    let stack = stack(&cases).await?;
    let mut wrong = Vec::new();
    for case in &rows {
        if let Err(differences) = case.expect.compare(&decide(&stack, case).await?) {
            wrong.push(format!("{}: {differences}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(rows.len() + rest.len(), cases.iter().count());
    assert!(rows.len() >= 40, "only {} cases ran", rows.len());
    Ok(())
}

/// The cases are decided by what is shipped.
#[test]
fn cases_have_the_shipped_identities_and_catalog() -> Result<()> {
    let shipped: Value = serde_json::from_str(EnvoyConfig::shipped()?.filter_config()?)?;
    let of_cases = cases()?.config(&BTreeMap::new(), Value::Null);
    for key in ["identity", "catalog"] {
        assert_eq!(of_cases[key], shipped[key], "{key}");
    }
    Ok(())
}

fn cases() -> Result<Cases> {
    let folder = repository().join("policies/cases");
    let files: Vec<(String, String)> = files_below(&folder, ".yaml")?.into_iter().collect();
    let config = fs::read_to_string(folder.join("config.json"))?;
    Cases::read(("config.json", &config), &files).map_err(anyhow::Error::msg)
}

/// The shipped configuration, with the default policies in it.
async fn stack(cases: &Cases) -> Result<Stack> {
    let folder = repository().join("policies");
    let mut modules = files_below(&folder, ".rego")?;
    modules.retain(|name, _| !name.ends_with("_test.rego"));
    let data = serde_json::from_str(&fs::read_to_string(folder.join("data.json"))?)?;
    let of_cases = cases.config(&modules, data);
    let foundation = Foundation::lay().await?;
    let config = foundation.config(NOWHERE)?.with_filter_config(|config| {
        if let (Some(fields), Some(own)) = (config.as_object_mut(), of_cases.as_object()) {
            fields.remove("services");
            fields.remove("bundles");
            fields.extend(own.clone());
        }
    })?;
    foundation.start(&config, 1).await
}

async fn decide(stack: &Stack, case: &Case) -> Result<Verdict> {
    let certificate = case.certificate().context("no certificate")?;
    let uris: Vec<&str> = certificate.uris.iter().map(String::as_str).collect();
    let request = case.request.as_ref().context("no request")?;
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for recent in &case.recent {
        make_calls(stack, case, recent).await?;
    }
    let before = stack.envoy.access_log().len();
    let mut connection = stack.agent_with(&uris)?.connect().await?;
    let line = (request.method.as_str(), request.host.as_str(), request.path.as_str());
    let answer = match &request.body {
        Some(body) => connection.send_body(line, &headers, body, None).await?,
        None => {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
            connection.send_with(line.0, line.1, line.2, &headers).await?
        }
    };
    let decision = if stack.exchange.take().is_empty() { Word::Deny } else { Word::Allow };
    let (logged, _) = eventually(PATIENCE, "the request's line in the access log", async || {
        stack.envoy.access_log().into_iter().nth(before)
    })
    .await?;
    Ok(verdict(decision, &answer, &logged))
}

/// Earlier calls, which must be allowed, as natively.
async fn make_calls(stack: &Stack, case: &Case, recent: &RecentRow) -> Result<()> {
    let certificate = case.certificate_of(recent).context("no certificate")?;
    let uris: Vec<&str> = certificate.uris.iter().map(String::as_str).collect();
    let request = case.request.as_ref().context("no request")?;
    let mut connection = stack.agent_with(&uris)?.connect().await?;
    let before = stack.envoy.access_log().len();
    for call in 1..=recent.calls {
        let answer = connection.send(&request.method, &request.host, &request.path).await?;
        assert_eq!(answer.status, 200, "{}: the earlier call {call}: {answer:?}", case.name);
    }
    let calls = usize::try_from(recent.calls)?;
    assert_eq!(stack.exchange.take().len(), calls, "{}", case.name);
    eventually(PATIENCE, "the earlier calls' lines in the access log", async || {
        (stack.envoy.access_log().len() == before + calls).then_some(())
    })
    .await?;
    Ok(())
}

/// What was decided, by whether the request reached the credential exchange, by the reply, and by the access log.
fn verdict(decision: Word, answer: &Answer, logged: &Value) -> Verdict {
    let logged = |field: &str| {
        logged[field].as_str().filter(|text| !text.is_empty() && *text != "-").map(str::to_owned)
    };
    let headers = answer
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    let is_denied = decision == Word::Deny;
    Verdict {
        decision,
        reason: logged("reason"),
        status: is_denied.then(|| answer.status.as_u16()),
        policy_reason: logged("policy_reason"),
        service: logged("service"),
        action: logged("action"),
        headers: headers.filter(|_| is_denied).collect(),
    }
}
