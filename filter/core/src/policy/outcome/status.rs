//! The HTTP statuses that a policy may answer with.

/// Whether `status` is one that Envoy's `StatusCode` and Go's `net/http` both know, as opa-envoy-plugin wants it.
pub(super) const fn is_known(status: u16) -> bool {
    matches!(
        status,
        100 | 200..=208 | 226 | 300..=305 | 307 | 308 | 400..=417 | 421..=424 | 426 | 428 | 429 | 431 | 500..=508
            | 510 | 511
    )
}

/// Whether a caller takes a reply with `status` for a refusal; `location` tells whether one is there.
///
/// Below 400 only a redirect that leads somewhere does: what else is there means that all went well, or with 304
/// that what the caller has is still right.
pub(super) const fn refuses(status: u16, location: bool) -> bool {
    match status {
        301 | 302 | 303 | 307 | 308 => location,
        _ => status >= 400,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        let known: Vec<u16> = (0..=u16::MAX).filter(|status| is_known(*status)).collect();
        assert_eq!(known.len(), 1 + 10 + 8 + 18 + 8 + 11);
        for unknown in [0, 101, 102, 209, 306, 418, 420, 425, 427, 430, 451, 499, 509, 512, 599] {
            assert!(!is_known(unknown), "{unknown}");
        }
        for (status, alone, with_location) in [
            (100, false, false),
            (200, false, false),
            (226, false, false),
            (300, false, false),
            (302, false, true),
            (304, false, false),
            (305, false, false),
            (308, false, true),
            (400, true, true),
            (429, true, true),
            (511, true, true),
        ] {
            assert_eq!((refuses(status, false), refuses(status, true)), (alone, with_location), "{status}");
        }
    }
}
