//! Who appears in the demo, and what each asks for.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::{Context, Result};

use crate::{
    agent::Agent,
    certificates::{Authority, Svid},
};

/// An agent of the demo.
#[derive(Debug)]
pub struct Character {
    /// The name in the table and of its files.
    pub name: &'static str,
    /// The URI SANs of its certificate.
    pub uris: &'static [&'static str],
    /// What it asks for.
    pub asks_for: &'static [Operation],
}

/// A request to a cloud.
#[derive(Debug)]
pub struct Operation {
    /// Its name in the table.
    pub name: &'static str,
    /// Its method.
    pub method: &'static str,
    /// Its host.
    pub host: &'static str,
    /// Its path.
    pub path: &'static str,
}

/// A query to BigQuery.
pub const QUERY: Operation = Operation {
    name: "gcp_bigquery query",
    method: "POST",
    host: "bigquery.googleapis.com",
    path: "/bigquery/v2/projects/p/queries",
};
const DELETE: Operation = Operation {
    name: "gcp_bigquery tables.delete",
    method: "DELETE",
    host: "bigquery.googleapis.com",
    path: "/bigquery/v2/projects/p/datasets/d/tables/t",
};
const GET: Operation = Operation {
    name: "aws_s3 GetObject",
    method: "GET",
    host: "s3.eu-central-1.amazonaws.com",
    path: "/bucket/report.csv",
};
const PUT: Operation = Operation {
    name: "aws_s3 PutObject",
    method: "PUT",
    host: "s3.eu-central-1.amazonaws.com",
    path: "/bucket/report.csv",
};
const UNKNOWN: Operation =
    Operation { name: "an unlisted host", method: "GET", host: "exfiltrate.example", path: "/" };
const TRICK: Operation = Operation {
    name: "a path with ..",
    method: "PUT",
    host: "s3.eu-central-1.amazonaws.com",
    path: "/bucket/../other/key",
};

/// All agents of the demo.
pub const CAST: [Character; 5] = [
    Character {
        name: "researcher",
        uris: &["spiffe://hexr.cloud/agent/acme-corp/content-crew/researcher"],
        asks_for: &[QUERY, DELETE, GET],
    },
    Character {
        name: "editor",
        uris: &["spiffe://hexr.cloud/agent/acme-corp/content-crew/editor"],
        asks_for: &[QUERY, PUT, UNKNOWN, TRICK],
    },
    Character {
        name: "viewer",
        uris: &["spiffe://hexr.cloud/agent/acme-corp/content-crew/viewer"],
        asks_for: &[GET, PUT, QUERY],
    },
    Character {
        name: "stranger",
        uris: &["spiffe://elsewhere.example/agent/acme-corp/content-crew/editor"],
        asks_for: &[QUERY],
    },
    Character {
        name: "two-faced",
        uris: &[
            "spiffe://hexr.cloud/agent/acme-corp/content-crew/viewer",
            "spiffe://hexr.cloud/agent/acme-corp/content-crew/editor",
        ],
        asks_for: &[PUT],
    },
];

// === impl Character ===

impl Character {
    /// Its certificate.
    ///
    /// # Errors
    /// When a key cannot be made.
    pub fn svid(&self, authority: &Authority) -> Result<Svid> {
        authority.svid(self.uris)
    }
}

/// Writes the certificates of Envoy and of all agents into `folder`.
///
/// # Errors
/// When a file cannot be written.
pub fn write_certificates(folder: &Path) -> Result<()> {
    let authority = Authority::new()?;
    authority.write_for_envoy(folder)?;
    CAST.iter().try_for_each(|character| character.svid(&authority)?.write(folder, character.name))
}

/// An agent with a certificate that [`write_certificates`] has written.
///
/// # Errors
/// When its files cannot be read.
pub fn agent_from_files(envoy: SocketAddr, folder: &Path, character: &Character) -> Result<Agent> {
    let read = |name: String| fs::read_to_string(folder.join(&name)).context(name);
    let svid = Svid {
        certificate: read(format!("{}.pem", character.name))?,
        key: read(format!("{}-key.pem", character.name))?,
    };
    Agent::trusting(envoy, &read("ca.pem".to_owned())?, Some(&svid))
}
