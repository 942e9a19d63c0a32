use std::rc::Rc;

use super::*;
use crate::{
    decision::{DecisionId, Grounds},
    denial::Denial,
};

fn identity(tenant: &str) -> Identity {
    let id = spiffe::SpiffeId::new("spiffe://d/x").unwrap();
    Identity::new(&id, tenant.to_owned(), "a".to_owned(), "r".to_owned())
}

/// The name of the counter of a refusal, where it is defined now.
fn defined(
    series: &mut Series<usize>,
    names: &Rc<std::cell::RefCell<Vec<String>>>,
    refusal: Refusal<'_>,
) -> usize {
    let counter = series.of(&Decision::Deny(refusal), |name| -> Result<usize, ()> {
        names.borrow_mut().push(name.to_owned());
        Ok(names.borrow().len())
    });
    counter.unwrap()
}

fn refusal(identity: Option<&Identity>, denial: Denial) -> Refusal<'_> {
    let id = DecisionId::from_random([0; 16]);
    Refusal { id, denial, identity, operation: None, grounds: Grounds::none() }
}

#[test]
fn names_have_bounds() {
    let denied = || Denial::PolicyDenied(Box::default());
    let (mut series, names) = (Series::default(), Rc::default());
    let anonymous = refusal(None, Denial::NoClientCertificate);
    assert_eq!(defined(&mut series, &names, anonymous), 1);
    let first = identity("acme.corp");
    assert_eq!(defined(&mut series, &names, refusal(Some(&first), denied())), 2);
    assert_eq!(defined(&mut series, &names, refusal(Some(&first), denied())), 2, "it is known");
    assert_eq!(
        names.borrow().as_slice(),
        [
            "hexr_authz_decisions_total.decision.deny.reason.no_client_certificate.tenant.none.service.none",
            "hexr_authz_decisions_total.decision.deny.reason.policy_denied.tenant.acme_corp.service.none",
        ]
    );
    for number in 0..500 {
        let tenant = identity(&format!("t{number}"));
        defined(&mut series, &names, refusal(Some(&tenant), denied()));
    }
    // One that is told apart stays so; the others are one.
    assert_eq!(names.borrow().len(), MAX_TENANTS + 1);
    assert!(names.borrow().last().unwrap().contains(".tenant.other."));
    assert_eq!(defined(&mut series, &names, refusal(Some(&first), denied())), 2);
}
