//! Every reason to refuse a request. The list is closed: adding one breaks the build of [`crate::reply`].

use thiserror::Error;

use crate::policy::Rejection;

/// Why a request is refused, with what an operator needs to see.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Denial {
    /// The connection has no client certificate.
    #[error("the connection has no client certificate")]
    NoClientCertificate,
    /// The client certificate is expired or not valid yet.
    #[error("{0}")]
    ExpiredCertificate(String),
    /// The client certificate has more than one URI SAN.
    #[error("the client certificate has {count} URI SANs, an X.509-SVID has exactly one")]
    MultipleUriSans {
        /// How many it has.
        count: usize,
    },
    /// The client certificate carries no valid SPIFFE ID.
    #[error("{0}")]
    InvalidSpiffeId(String),
    /// The SPIFFE ID's trust domain is foreign, or may not speak for the tenant.
    #[error("{0}")]
    UntrustedDomain(String),
    /// The SPIFFE ID does not give tenant, agent and role.
    #[error("{0}")]
    UnmappedIdentity(String),
    /// The request is for a host that the catalog does not list.
    #[error("no service is known at `{0}`")]
    UnknownService(String),
    /// The request is for a known service, but no operation of it.
    #[error("{0}")]
    UnknownAction(String),
    /// The request contradicts itself, or may mean something else upstream than here.
    #[error("the request is ambiguous: {0}")]
    AmbiguousRequest(String),
    /// The body is not what the request says it is.
    #[error("{0}")]
    UnreadableBody(String),
    /// The body that decides what is asked for did not come in time.
    #[error("the body did not come within {0} ms")]
    BodyTimeout(u64),
    /// The body that decides what is asked for is larger than may be read.
    #[error("the body decides what is asked for, and is larger than {0} bytes")]
    BodyTooLarge(usize),
    /// The policy does not allow it.
    #[error("the policy does not allow it")]
    PolicyDenied(Box<Rejection>),
    /// The platform's policy allows it, and the tenant's own does not.
    #[error("the tenant's own policy does not allow it")]
    TenantPolicyDenied(Box<Rejection>),
    /// There is no active policy yet.
    #[error("no policy is active yet")]
    NoPolicy,
    /// The policy could not be evaluated, or its answer is none that a policy may give.
    #[error("the policy could not be evaluated: {0}")]
    EvaluationError(String),
    /// The evaluation took more than its budget.
    #[error("the evaluation exceeded its budget of {0} ms")]
    BudgetExceeded(u64),
    /// The call cannot be entered into the audit log, because there is no room for it.
    #[error("the audit log is full: {cause}")]
    AuditLogFull {
        /// Whose room is used up.
        cause: &'static str,
        /// When there will be room again, where that is known.
        retry_after_seconds: Option<i64>,
    },
    /// Others have entered calls again and again while this one was decided.
    #[error("too many calls of the same agent are being decided at once")]
    AuditLogContention,
    /// The filter could not do its work.
    #[error("internal error: {0}")]
    InternalError(String),
}

/// A [`Denial`] without its details: what bodies, metrics, logs and response code details name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    code: &'static str,
    status: u16,
    grpc_status: u32,
}

/// Numbers of gRPC status codes: <https://grpc.io/docs/guides/status-codes/>.
mod grpc {
    const UNKNOWN: u32 = 2;
    pub(super) const INVALID_ARGUMENT: u32 = 3;
    pub(super) const DEADLINE_EXCEEDED: u32 = 4;
    pub(super) const PERMISSION_DENIED: u32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: u32 = 8;
    const UNIMPLEMENTED: u32 = 12;
    pub(super) const INTERNAL: u32 = 13;
    pub(super) const UNAVAILABLE: u32 = 14;
    const UNAUTHENTICATED: u32 = 16;

    /// The status that stands for an HTTP status. As Envoy's own, which is gRPC's for proxies, but for 429, which its
    /// rate limits can tell as `RESOURCE_EXHAUSTED` too so that clients do not retry at once, and 500.
    pub(super) const fn of_http(status: u16) -> u32 {
        match status {
            400 | 500 => INTERNAL,
            401 => UNAUTHENTICATED,
            403 => PERMISSION_DENIED,
            404 => UNIMPLEMENTED,
            429 => RESOURCE_EXHAUSTED,
            502..=504 => UNAVAILABLE,
            _ => UNKNOWN,
        }
    }
}

// === impl Denial ===

impl Denial {
    /// The reason's code and statuses.
    pub fn reason(&self) -> Reason {
        let forbidden = |code| Reason { code, status: 403, grpc_status: grpc::PERMISSION_DENIED };
        let failed = |code| Reason { code, status: 500, grpc_status: grpc::INTERNAL };
        match self {
            Self::NoClientCertificate => forbidden("no_client_certificate"),
            Self::ExpiredCertificate(_) => forbidden("expired_certificate"),
            Self::MultipleUriSans { .. } => forbidden("multiple_uri_sans"),
            Self::InvalidSpiffeId(_) => forbidden("invalid_spiffe_id"),
            Self::UntrustedDomain(_) => forbidden("untrusted_domain"),
            Self::UnmappedIdentity(_) => forbidden("unmapped_identity"),
            Self::UnknownService(_) => forbidden("unknown_service"),
            Self::UnknownAction(_) => forbidden("unknown_action"),
            Self::AmbiguousRequest(_) => forbidden("ambiguous_request"),
            Self::PolicyDenied(rejection) => {
                let status = rejection.status();
                Reason { code: "policy_denied", status, grpc_status: grpc::of_http(status) }
            }
            Self::TenantPolicyDenied(rejection) => {
                let status = rejection.status();
                Reason { code: "tenant_policy_denied", status, grpc_status: grpc::of_http(status) }
            }
            Self::UnreadableBody(_) => {
                Reason { code: "unreadable_body", status: 400, grpc_status: grpc::INVALID_ARGUMENT }
            }
            Self::BodyTimeout(_) => {
                Reason { code: "body_timeout", status: 408, grpc_status: grpc::DEADLINE_EXCEEDED }
            }
            Self::BodyTooLarge(_) => {
                Reason { code: "body_too_large", status: 413, grpc_status: grpc::RESOURCE_EXHAUSTED }
            }
            Self::NoPolicy => Reason { code: "no_policy", status: 503, grpc_status: grpc::UNAVAILABLE },
            Self::EvaluationError(_) => failed("evaluation_error"),
            Self::BudgetExceeded(_) => failed("budget_exceeded"),
            Self::AuditLogFull { .. } => {
                Reason { code: "audit_log_full", status: 429, grpc_status: grpc::of_http(429) }
            }
            Self::AuditLogContention => {
                Reason { code: "audit_log_contention", status: 503, grpc_status: grpc::UNAVAILABLE }
            }
            Self::InternalError(_) => failed("internal_error"),
        }
    }

    /// What the policy wants of the refusal, where it is the policy's.
    pub fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::PolicyDenied(rejection) | Self::TenantPolicyDenied(rejection) => Some(rejection),
            Self::NoClientCertificate
            | Self::ExpiredCertificate(_)
            | Self::MultipleUriSans { .. }
            | Self::InvalidSpiffeId(_)
            | Self::UntrustedDomain(_)
            | Self::UnmappedIdentity(_)
            | Self::UnknownService(_)
            | Self::UnknownAction(_)
            | Self::AmbiguousRequest(_)
            | Self::UnreadableBody(_)
            | Self::BodyTimeout(_)
            | Self::BodyTooLarge(_)
            | Self::NoPolicy
            | Self::EvaluationError(_)
            | Self::BudgetExceeded(_)
            | Self::AuditLogFull { .. }
            | Self::AuditLogContention
            | Self::InternalError(_) => None,
        }
    }

    /// How long the caller should wait before it asks again, in seconds, where that is known.
    pub fn retry_after_seconds(&self) -> Option<i64> {
        match self {
            Self::NoPolicy | Self::AuditLogContention => Some(1),
            Self::AuditLogFull { retry_after_seconds, .. } => *retry_after_seconds,
            Self::PolicyDenied(rejection) | Self::TenantPolicyDenied(rejection) => {
                rejection.retry_after_seconds
            }
            Self::NoClientCertificate
            | Self::ExpiredCertificate(_)
            | Self::MultipleUriSans { .. }
            | Self::InvalidSpiffeId(_)
            | Self::UntrustedDomain(_)
            | Self::UnmappedIdentity(_)
            | Self::UnknownService(_)
            | Self::UnknownAction(_)
            | Self::AmbiguousRequest(_)
            | Self::UnreadableBody(_)
            | Self::BodyTimeout(_)
            | Self::BodyTooLarge(_)
            | Self::EvaluationError(_)
            | Self::BudgetExceeded(_)
            | Self::InternalError(_) => None,
        }
    }

    /// Whether the operator, not the caller, has to mend something: worth a line in Envoy's log.
    pub fn is_fault(&self) -> bool {
        match self {
            Self::EvaluationError(_) | Self::BudgetExceeded(_) | Self::InternalError(_) => true,
            Self::NoClientCertificate
            | Self::ExpiredCertificate(_)
            | Self::MultipleUriSans { .. }
            | Self::InvalidSpiffeId(_)
            | Self::UntrustedDomain(_)
            | Self::UnmappedIdentity(_)
            | Self::UnknownService(_)
            | Self::UnknownAction(_)
            | Self::AmbiguousRequest(_)
            | Self::PolicyDenied(_)
            | Self::TenantPolicyDenied(_)
            | Self::UnreadableBody(_)
            | Self::BodyTimeout(_)
            | Self::BodyTooLarge(_)
            | Self::AuditLogFull { .. }
            | Self::AuditLogContention
            | Self::NoPolicy => false,
        }
    }
}

// === impl Reason ===

impl Reason {
    /// The code, as `policy_denied`.
    pub const fn code(self) -> &'static str {
        self.code
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        self.status
    }

    /// The gRPC status, for gRPC callers.
    pub const fn grpc_status(self) -> u32 {
        self.grpc_status
    }

    /// The `error` of the body: the caller may not, or cannot now.
    pub const fn error(self) -> &'static str {
        if self.status < 500 { "access_denied" } else { "unavailable" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_statuses_of_a_policys_status() {
        for (status, grpc_status) in [
            (None, 7),
            (Some(302), 2),
            (Some(400), 13),
            (Some(401), 16),
            (Some(403), 7),
            (Some(404), 12),
            (Some(429), 8),
            (Some(451), 2),
            (Some(500), 13),
            (Some(501), 2),
            (Some(502), 14),
            (Some(504), 14),
            (Some(505), 2),
        ] {
            let denial = Denial::PolicyDenied(Box::new(Rejection { status, ..Rejection::default() }));
            let reason = denial.reason();
            assert_eq!(reason.code(), "policy_denied");
            assert_eq!((reason.status(), reason.grpc_status()), (status.unwrap_or(403), grpc_status));
        }
    }
}
