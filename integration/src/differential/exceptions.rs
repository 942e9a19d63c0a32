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
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        case: "seed 2902",
        query: "lib.level2",
        right: Right::Here,
        why: "OPA drops a body that is just `not true with ...` where the value in the head is a reference",
    },
    Exception {
        case: "seed 1000259",
        query: "p.allow7",
        right: Right::Opa,
        why: "a conflict behind a condition that is looked at first here: both deny",
    },
    Exception {
        case: "errors: an index hides an error: equality behind it",
        query: "p.r",
        right: Right::Opa,
        why: "a conflict in front of a condition that is looked at first here: both deny",
    },
    Exception {
        case: "inputs: numbers as they are written",
        query: "p.v",
        right: Right::Opa,
        why: "how a number was spelled is not kept",
    },
    Exception {
        case: "inputs: equality over spellings",
        query: "p.x",
        right: Right::Opa,
        why: "an integer beyond 2^53 and the same one with a fraction of zero are two numbers here",
    },
    Exception {
        case: "builtins: sprintf(\"%d\", [1e3])",
        query: "p.x",
        right: Right::Opa,
        why: "how a number was spelled is not kept",
    },
    Exception {
        case: "builtins: json.marshal({\"b\": [1, 2.50, null], \"a\": {1, 2}})",
        query: "p.x",
        right: Right::Opa,
        why: "how a number was spelled is not kept",
    },
    Exception {
        case: "V0 sprintf/float/exponent",
        query: "test.p",
        right: Right::Opa,
        why: "how a number was spelled is not kept",
    },
    Exception {
        case: "V1 sprintf/float/exponent",
        query: "test.p",
        right: Right::Opa,
        why: "how a number was spelled is not kept",
    },
    Exception {
        case: "V0 strings/sprintf: float too big",
        query: "generated.p",
        right: Right::Opa,
        why: "how a number was spelled is not kept",
    },
    Exception {
        case: "V1 strings/sprintf: float too big",
        query: "generated.p",
        right: Right::Opa,
        why: "how a number was spelled is not kept",
    },
    Exception {
        case: "V1 comparisonexpr/decimals order like the numbers they denote",
        query: "generated.p",
        right: Right::Opa,
        why: "fractions are of 64 bits",
    },
];

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
