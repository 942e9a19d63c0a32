//! A client certificate, as far as SPIFFE looks at it: its URI SANs and its validity.
//!
//! Envoy's `connection.uri_san_peer_certificate` shows the first URI SAN only, and its SPIFFE validator does not
//! count them, so the certificate itself is read. X.509-SVID, section 2: exactly one URI SAN.

use chrono::{DateTime, SecondsFormat};
use thiserror::Error;
use x509_cert::{
    certificate::{CertificateInner, Rfc5280},
    der::{Decode, DecodePem, oid::AssociatedOid},
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use crate::{denial::Denial, timestamp::Timestamp};

/// The facts of a client certificate that a decision depends on.
#[derive(Debug, PartialEq, Eq)]
pub struct Certificate {
    uri_sans: Vec<String>,
    validity: Validity,
}

/// From when until when a certificate is valid, both ends included (RFC 5280, section 4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    not_before_seconds: i64,
    not_after_seconds: i64,
}

/// Why a certificate could not be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CertificateError {
    /// The bytes are not one X.509 certificate.
    #[error("the client certificate is not readable X.509: {0}")]
    NotX509(String),
    /// A subject alternative name extension is malformed.
    #[error("the client certificate's subject alternative names are not readable: {0}")]
    SubjectAltName(String),
}

// === impl Certificate ===

impl Certificate {
    /// Reads one certificate in PEM, as Envoy gives it in `connection.peer_certificate`.
    ///
    /// # Errors
    /// When it is not one X.509 certificate or its names are malformed.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let certificate = CertificateInner::<Rfc5280>::from_pem(pem)
            .map_err(|error| CertificateError::NotX509(error.to_string()))?;
        let tbs = certificate.tbs_certificate();
        let mut uri_sans = Vec::new();
        // Every extension is looked at: a certificate with two of one kind is malformed, but must not hide a SAN.
        for extension in tbs.extensions().into_iter().flatten() {
            if extension.extn_id != SubjectAltName::OID {
                continue;
            }
            let names = SubjectAltName::from_der(extension.extn_value.as_bytes())
                .map_err(|error| CertificateError::SubjectAltName(error.to_string()))?;
            for name in names.0 {
                if let GeneralName::UniformResourceIdentifier(uri) = name {
                    uri_sans.push(uri.to_string());
                }
            }
        }
        let validity = tbs.validity();
        Ok(Self {
            uri_sans,
            validity: Validity {
                not_before_seconds: unix_seconds(validity.not_before.to_unix_duration().as_secs()),
                not_after_seconds: unix_seconds(validity.not_after.to_unix_duration().as_secs()),
            },
        })
    }

    /// A certificate with these facts.
    #[cfg(feature = "cases")]
    pub(crate) fn of(uri_sans: Vec<String>, validity: Validity) -> Self {
        Self { uri_sans, validity }
    }

    /// The one URI SAN that an X.509-SVID has.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub(crate) fn uri_san(&self) -> Result<&str, Denial> {
        match self.uri_sans.as_slice() {
            [] => Err(Denial::InvalidSpiffeId("the client certificate has no URI SAN".to_owned())),
            [uri] => Ok(uri),
            several => Err(Denial::MultipleUriSans { count: several.len() }),
        }
    }

    /// From when until when the certificate is valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }
}

fn unix_seconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

// === impl Validity ===

impl Validity {
    /// Both seconds included.
    #[cfg(feature = "cases")]
    pub(crate) fn between(not_before_seconds: i64, not_after_seconds: i64) -> Self {
        Self { not_before_seconds, not_after_seconds }
    }

    pub(crate) fn check(self, now: Timestamp) -> Result<(), Denial> {
        if now.unix_seconds() < self.not_before_seconds {
            return Err(Denial::ExpiredCertificate(format!(
                "the client certificate is not valid before {}",
                rfc3339(self.not_before_seconds)
            )));
        }
        if now.unix_seconds() > self.not_after_seconds {
            return Err(Denial::ExpiredCertificate(format!(
                "the client certificate expired at {}",
                rfc3339(self.not_after_seconds)
            )));
        }
        Ok(())
    }
}

fn rfc3339(unix_seconds: i64) -> String {
    DateTime::from_timestamp(unix_seconds, 0).map_or_else(
        || format!("Unix second {unix_seconds}"),
        |time| time.to_rfc3339_opts(SecondsFormat::Secs, true),
    )
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType, string::Ia5String};
    use time::OffsetDateTime;

    use super::*;

    fn pem(uris: &[&str], dns: &[&str]) -> String {
        let mut params = CertificateParams::default();
        let uri = |uri: &&str| SanType::URI(Ia5String::try_from(*uri).unwrap());
        let dns = dns.iter().map(|name| SanType::DnsName(Ia5String::try_from(*name).unwrap()));
        params.subject_alt_names = dns.chain(uris.iter().map(uri)).collect();
        params.not_before = OffsetDateTime::from_unix_timestamp(1_000).unwrap();
        params.not_after = OffsetDateTime::from_unix_timestamp(2_000).unwrap();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[track_caller]
    fn check(uris: &[&str], dns: &[&str], expect: Result<&str, &str>) {
        let certificate = Certificate::from_pem(pem(uris, dns).as_bytes()).unwrap();
        assert_eq!(certificate.uri_san().map_err(|denial| denial.reason().code()), expect);
    }

    #[test]
    fn exactly_one_uri_san() {
        check(&["spiffe://td/a"], &[], Ok("spiffe://td/a"));
        check(&["spiffe://td/a"], &["first.example", "second.example"], Ok("spiffe://td/a"));
        check(&[], &["only.example"], Err("invalid_spiffe_id"));
        check(&[], &[], Err("invalid_spiffe_id"));
        check(&["spiffe://td/a", "spiffe://other/b"], &[], Err("multiple_uri_sans"));
        check(&["https://first.example/x", "spiffe://td/b"], &[], Err("multiple_uri_sans"));
        check(&["spiffe://td/a", "spiffe://td/a"], &[], Err("multiple_uri_sans"));
    }

    #[test]
    fn both_ends_of_the_validity_are_valid() {
        let validity = Certificate::from_pem(pem(&["spiffe://td/a"], &[]).as_bytes()).unwrap().validity();
        for (seconds, valid) in [(999, false), (1_000, true), (2_000, true), (2_001, false)] {
            let now = Timestamp::from_unix_nanos(seconds * 1_000_000_000 + 999_999_999);
            assert_eq!(validity.check(now).is_ok(), valid, "at second {seconds}");
        }
    }

    #[test]
    fn what_is_not_a_certificate_is_an_error() {
        let good = pem(&["spiffe://td/a"], &[]);
        let truncated = good.get(..good.len() / 2).unwrap();
        let twice = good.replace('A', "!");
        for bytes in
            [&b""[..], b"-----BEGIN CERTIFICATE-----", &[0xff, 0xfe], truncated.as_bytes(), twice.as_bytes()]
        {
            assert!(Certificate::from_pem(bytes).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
