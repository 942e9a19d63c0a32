//! Answers that are known to differ from OPA's, each with its reason.
//!
//! What is listed must differ: an exception whose answers have become the same fails the test, and is taken out.

use super::comparison::Difference;

/// Who is right, by Rego's own rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// OPA is, and what differs does not allow anything.
    Opa,
    /// We are: OPA departs from what its own documentation says.
    Here,
    /// Either: nothing says what the answer is.
    Either,
}

/// Answers of one query that are known to differ.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// The case's name.
    pub case: &'static str,
    /// The path that is asked for, below `data`.
    pub query: &'static str,
    /// Who is right.
    pub right: Right,
    /// Why they differ.
    pub why: &'static str,
}

/// All of them.
pub const EXCEPTIONS: &[Exception] = &[];

// === impl Exception ===

impl Exception {
    /// The exception that a difference is.
    pub(super) fn of(difference: &Difference) -> Option<&'static Self> {
        let query = difference.path();
        EXCEPTIONS.iter().find(|exception| exception.case == difference.case.name && exception.query == query)
    }

    /// Whether a difference may be one: nothing is true here that is not in OPA, unless OPA is wrong.
    pub fn permits(&self, difference: &Difference) -> bool {
        difference.ours != "true" || self.right == Right::Here
    }
}
