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

/// Answers of queries of one case that are known to differ, for one reason.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// The case's name.
    pub case: &'static str,
    /// The paths that are asked for, below `data`.
    pub queries: &'static [&'static str],
    /// Who is right.
    pub right: Right,
    /// Why they differ.
    pub why: &'static str,
}

/// All of them.
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        case: "seed 2902",
        queries: &["lib.level2", "lib.value4", "p.names6", "p.value9"],
        right: Right::Here,
        why: "OPA drops a body that is just `not true with ...` where the value in the head is a reference",
    },
    Exception {
        case: "seed 1000259",
        queries: &["p.allow7", "p"],
        right: Right::Opa,
        why: "a conflict behind a condition that is looked at first here: both deny",
    },
    Exception {
        case: "errors: an index hides an error: equality behind it",
        queries: &["p.r", "p.u"],
        right: Right::Opa,
        why: "a conflict in front of a condition that is looked at first here: both deny",
    },
    Exception {
        case: "inputs: numbers as they are written",
        queries: &["p.v", "p.z", "p.r", "p.p"],
        right: Right::Opa,
        why: "how a number was spelled is not kept",
    },
    Exception {
        case: "inputs: numbers as they are written",
        queries: &["p.n"],
        right: Right::Either,
        why: "OPA finds nothing in an array at `1e0`, though it is equal to 1; 1e-400 is 0 here",
    },
    Exception {
        case: "inputs: equality over spellings",
        queries: &["p.x", "p.y", "p.z", "p.u"],
        right: Right::Opa,
        why: "an integer beyond 2^53 and the same one with a fraction of zero are two numbers here",
    },
    Exception {
        case: "builtins: sprintf(\"%d\", [1e3])",
        queries: &["p.x"],
        right: Right::Opa,
        why: "how a number was spelled is not kept",
    },
    Exception {
        case: "builtins: json.marshal({\"b\": [1, 2.50, null], \"a\": {1, 2}})",
        queries: &["p.x"],
        right: Right::Opa,
        why: "how a number was spelled is not kept",
    },
    Exception {
        case: "V0 sprintf/float/exponent",
        queries: &["test.p"],
        right: Right::Opa,
        why: "how a number was spelled is not kept",
    },
    Exception {
        case: "V1 sprintf/float/exponent",
        queries: &["test.p"],
        right: Right::Opa,
        why: "how a number was spelled is not kept",
    },
    Exception {
        case: "V0 strings/sprintf: float too big",
        queries: &["generated.p"],
        right: Right::Opa,
        why: "how a number was spelled is not kept",
    },
    Exception {
        case: "V1 strings/sprintf: float too big",
        queries: &["generated.p"],
        right: Right::Opa,
        why: "how a number was spelled is not kept",
    },
    Exception {
        case: "V1 comparisonexpr/decimals order like the numbers they denote",
        queries: &["generated.p"],
        right: Right::Opa,
        why: "fractions are of 64 bits",
    },
];

// === impl Exception ===

impl Exception {
    /// The exception that a difference is.
    pub(super) fn of(difference: &Difference) -> Option<&'static Self> {
        let query = difference.path();
        EXCEPTIONS.iter().find(|exception| {
            exception.case == difference.case.name && exception.queries.contains(&query.as_str())
        })
    }

    /// Whether a difference may be one: nothing is true here that is not in OPA, unless OPA is wrong.
    pub fn permits(&self, difference: &Difference) -> bool {
        difference.ours != "true" || self.right == Right::Here
    }
}
