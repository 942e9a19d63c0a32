//! A host of the operator's table.

/// A host: exact, or all below a name. Without a port it stands for every port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// In lower case; `.example.com` when it was written `*.example.com`.
    pub(super) name: String,
    pub(super) port: Option<u16>,
}

// === impl Host ===

impl Host {
    /// Reads `s3.example`, `*.s3.example` or either with a port.
    ///
    /// # Errors
    /// When it is not of that form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let problem = || {
            format!(
                "`{text}` is not a host: a name in lower case, `*.` before it for all below, `:PORT` behind it"
            )
        };
        let (name, port) = match text.split_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (name, Some(port.parse().map_err(|_| problem())?))
            }
            Some(_) => return Err(problem()),
            None => (text, None),
        };
        let (name, below) = match name.strip_prefix('*') {
            Some(rest) => (rest, rest.strip_prefix('.').ok_or_else(problem)?),
            None => (name, name),
        };
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let label = |label: &str| !label.is_empty() && label.bytes().all(allowed);
        if below.split('.').all(label) { Ok(Self { name: name.to_owned(), port }) } else { Err(problem()) }
    }

    pub(super) fn is_wildcard(&self) -> bool {
        self.name.starts_with('.')
    }

    pub(super) fn covers(&self, name: &str, port: Option<u16>) -> bool {
        name.len() > self.name.len()
            && name.ends_with(&self.name)
            && (self.port.is_none() || self.port == port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in ["a", "a.b-c.example", "*.a.example", "a.example:443", "*.a.example:443"] {
            assert!(Host::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "*",
            "*.",
            "*a.example",
            "a.*.example",
            "A.example",
            "a..b",
            "a.example:",
            "a:b",
            "a:+1",
            "a/b",
            "a.",
        ] {
            assert!(Host::parse(bad).is_err(), "{bad}");
        }
    }
}
