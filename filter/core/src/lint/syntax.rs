//! What to do about what the parser says.

/// By a piece of the parser's message.
const REMEDIES: &[(&str, &str)] = &[
    ("`if` keyword is required", "write `if` before the body: `allow if { ... }`"),
    ("`contains` keyword is required", "write `deny contains message if { ... }` for a set"),
    ("rule must have a body or assignment", "give it one: `allow := true`, or `allow if { ... }`"),
    ("unexpected keyword", "a keyword of Rego cannot be a name: choose another"),
    ("cannot be shadowed", "`input` and `data` cannot be names of your own: choose another"),
    ("expecting expression", "a value is missing here, or a comma, an operator or a bracket is too many"),
    ("expecting identifier", "a name belongs here: take out what stands in its place"),
    ("expecting `}`", "close the `{`, or put what follows on a line of its own"),
    ("expecting `]`", "close the `[`, or separate its items with `,`"),
    ("expecting `)`", "close the `(`, or separate the arguments with `,`"),
    (
        "expecting }",
        "what stands within these brackets is not Rego: look for an operator without its other side",
    ),
    ("unmatched", "close the text on the same line, or write it between backticks"),
    ("must be `future.keywords`", "write `import future.keywords.in`, or `import rego.v1`"),
    ("import path must begin with", "write `import data.PACKAGE` for a package of your own"),
    ("invalid escape sequence", "write the text between backticks, or `\\\\` for a backslash"),
];

/// How to mend what a message is about, where more is to be said than it does.
pub(super) fn remedy(message: &str) -> Option<String> {
    let known = REMEDIES.iter().find(|(piece, _)| message.contains(piece));
    known.map(|(_, remedy)| (*remedy).to_owned())
}
