//! What is found, with a stable code for each kind of it.

use std::fmt;

/// Something that is wrong, or is likely to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of mistake it is.
    pub code: Code,
    /// Whether it is one for sure.
    pub severity: Severity,
    /// The file that it is in, where it is in one.
    pub file: Option<String>,
    /// The place in that file, where it is known.
    pub span: Option<Span>,
    /// What is wrong.
    pub message: String,
    /// How to mend it, where the message does not say.
    pub remedy: Option<String>,
}

/// A piece of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// In characters.
    pub length: usize,
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The filter refuses it, or it allows what nobody meant.
    Error,
    /// It works, and probably not as it was meant.
    Warning,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $name:literal $severity:ident,)*) => {
        /// The kinds of findings. Their names are stable: comments, scripts and annotations refer to them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name, in kebab case.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// How sure findings of this kind usually are.
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity,)*
                }
            }
        }
    };
}

codes! {
    /// The text is not Rego.
    ParseError "parse-error" Error,
    /// A module has no `package`.
    MissingPackage "missing-package" Error,
    /// The modules do not fit together, or call what there is not.
    CompileError "compile-error" Error,
    /// The rule that decides is not there.
    NoDecision "no-decision" Error,
    /// A package stands where its bundle owns nothing.
    OutsideRoot "outside-root" Error,
    /// The policy looks at calls that the audit log does not have.
    AuditLogReach "audit-log-reach" Error,
    /// How far the policy looks back cannot be read from its text.
    UnboundedAuditLogScan "unbounded-audit-log-scan" Error,
    /// Whatever no rule denies is allowed.
    DefaultAllowTrue "default-allow-true" Error,
    /// A file of a bundle cannot be read, or has no place in it.
    BundleError "bundle-error" Error,
    /// The filter refuses the configuration.
    ConfigError "config-error" Error,
    /// The rule that decides has no default.
    DefaultAllowMissing "default-allow-missing" Warning,
    /// A body allows everybody, by the clock or the recent calls alone.
    BodyWidens "body-widens" Warning,
    /// The catalog has no service of that name.
    UnknownService "unknown-service" Warning,
    /// The service has no action of that name.
    UnknownAction "unknown-action" Warning,
    /// The input never has that field.
    UnknownInputField "unknown-input-field" Warning,
    /// A negation holds where a builtin fails.
    NotOverError "not-over-error" Warning,
    /// A plain OPA does not load the module.
    NotPortable "not-portable" Warning,
    /// A rule costs more the larger it grows.
    SlowRule "slow-rule" Warning,
    /// An update may take long to come.
    SlowUpdate "slow-update" Warning,
    /// The secret of a key is easier to guess than its algorithm allows.
    ShortSecret "short-secret" Warning,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Severity ===

impl Severity {
    /// `error` or `warning`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

// === impl Finding ===

impl Finding {
    /// A finding of the usual severity, without a place.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            file: None,
            span: None,
            message: message.into(),
            remedy: None,
        }
    }

    /// The same in this file.
    #[must_use]
    pub fn in_file(self, file: &str) -> Self {
        Self { file: Some(file.to_owned()), ..self }
    }

    /// The same at this place of its file.
    #[must_use]
    pub fn at(self, span: Span) -> Self {
        Self { span: Some(span), ..self }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn mended_by(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}
