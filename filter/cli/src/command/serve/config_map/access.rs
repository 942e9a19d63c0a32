//! What the Kubernetes API refuses, in words that tell what to do.

use kube::core::Status;

use super::{Place, watch::Trouble};

/// How a message of the API server begins to name who asked.
const USER: &str = "User \"";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// What an answer that is an error means.
pub(super) fn trouble(status: &Status, place: &Place) -> Trouble {
    let message = status.message.trim();
    let code = status.code;
    match code {
        403 => Trouble {
            short: format!("forbidden, a Role is missing: {message}"),
            long: format!("forbidden, a Role is missing: {message}\n{}", role(place, user(message))),
        },
        401 => Trouble::of(format!("the Kubernetes API does not take these credentials: {message}")),
        _ => Trouble::of(format!("the Kubernetes API answers {code}: {message}")),
    }
}

fn user(message: &str) -> Option<&str> {
    Some(message.split_once(USER)?.1.split_once('"')?.0)
}

/// The rule that lets `user` watch the ConfigMap, and nothing else.
fn role(Place { namespace, name }: &Place, user: Option<&str>) -> String {
    let account = user.and_then(|user| user.strip_prefix(SERVICE_ACCOUNT)?.split_once(':'));
    let subject = match (account, user) {
        (Some((namespace, name)), _) => {
            format!("kind: ServiceAccount\n    name: {name}\n    namespace: {namespace}")
        }
        (None, Some(user)) => {
            format!("kind: User\n    name: {user:?}\n    apiGroup: rbac.authorization.k8s.io")
        }
        (None, None) => format!("kind: ServiceAccount\n    name: default\n    namespace: {namespace}"),
    };
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: hexr-authz-policy
  namespace: {namespace}
rules:
  - apiGroups: [\"\"]
    resources: [configmaps]
    resourceNames: [{name}]
    verbs: [get, list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: hexr-authz-policy
  namespace: {namespace}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: hexr-authz-policy
subjects:
  - {subject}"
    )
}
