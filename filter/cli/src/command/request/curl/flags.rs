//! The flags of curl, as far as they have a say in the request.

/// What a flag means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    Request,
    Header,
    Data(Data),
    User,
    Bearer,
    AwsSigV4,
    Get,
    Head,
    Upload,
    UserAgent,
    Cookie,
    Referer,
    Url,
    PathAsIs,
    GlobOff,
    /// It has no say in what is sent; with a value, or without.
    Silent {
        has_value: bool,
    },
    /// It makes a request that cannot be explained, and why.
    Refused(&'static str),
}

/// How a flag gives a part of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Data {
    /// `@FILE` is read without its line ends.
    Ascii,
    /// `@` means nothing.
    Raw,
    /// `@FILE` is read as it is.
    Binary,
    /// Escaped as in a form.
    UrlEncode,
    /// JSON, which says so of itself.
    Json,
}

/// A flag as it stands on a command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) flag: Flag,
    /// Its name there, for messages.
    pub(super) name: String,
    /// Empty where it takes none.
    pub(super) value: String,
}

const FORM: &str = "it sends a form of several parts, in whose body the catalog looks for nothing: give the request by \
                    `--method`, `--url` and `--header`";
const SEVERAL: &str = "it makes several requests: give them one by one";
const QUIET: Flag = Flag::Silent { has_value: false };
const QUIET_VALUE: Flag = Flag::Silent { has_value: true };

/// Their long names, their short ones, and what they mean.
const FLAGS: &[(&str, Option<char>, Flag)] = &[
    ("request", Some('X'), Flag::Request),
    ("header", Some('H'), Flag::Header),
    ("data", Some('d'), Flag::Data(Data::Ascii)),
    ("data-ascii", None, Flag::Data(Data::Ascii)),
    ("data-raw", None, Flag::Data(Data::Raw)),
    ("data-binary", None, Flag::Data(Data::Binary)),
    ("data-urlencode", None, Flag::Data(Data::UrlEncode)),
    ("json", None, Flag::Data(Data::Json)),
    ("user", Some('u'), Flag::User),
    ("oauth2-bearer", None, Flag::Bearer),
    ("aws-sigv4", None, Flag::AwsSigV4),
    ("get", Some('G'), Flag::Get),
    ("head", Some('I'), Flag::Head),
    ("upload-file", Some('T'), Flag::Upload),
    ("user-agent", Some('A'), Flag::UserAgent),
    ("cookie", Some('b'), Flag::Cookie),
    ("referer", Some('e'), Flag::Referer),
    ("url", None, Flag::Url),
    ("path-as-is", None, Flag::PathAsIs),
    ("globoff", Some('g'), Flag::GlobOff),
    ("form", Some('F'), Flag::Refused(FORM)),
    ("form-string", None, Flag::Refused(FORM)),
    ("next", Some(':'), Flag::Refused(SEVERAL)),
    ("config", Some('K'), Flag::Refused("what stands in its file is not read here")),
    ("basic", None, QUIET),
    ("compressed", None, QUIET),
    ("create-dirs", None, QUIET),
    ("disable", Some('q'), QUIET),
    ("fail", Some('f'), QUIET),
    ("fail-early", None, QUIET),
    ("fail-with-body", None, QUIET),
    ("http1.0", Some('0'), QUIET),
    ("http1.1", None, QUIET),
    ("http2", None, QUIET),
    ("http3", None, QUIET),
    ("include", Some('i'), QUIET),
    ("insecure", Some('k'), QUIET),
    ("ipv4", Some('4'), QUIET),
    ("ipv6", Some('6'), QUIET),
    ("location", Some('L'), QUIET),
    ("no-buffer", Some('N'), QUIET),
    ("no-progress-meter", None, QUIET),
    ("progress-bar", Some('#'), QUIET),
    ("remote-header-name", Some('J'), QUIET),
    ("remote-name", Some('O'), QUIET),
    ("show-error", Some('S'), QUIET),
    ("silent", Some('s'), QUIET),
    ("ssl-reqd", None, QUIET),
    ("tlsv1.2", None, QUIET),
    ("tlsv1.3", None, QUIET),
    ("verbose", Some('v'), QUIET),
    ("cacert", None, QUIET_VALUE),
    ("cert", Some('E'), QUIET_VALUE),
    ("connect-timeout", None, QUIET_VALUE),
    ("cookie-jar", Some('c'), QUIET_VALUE),
    ("dump-header", Some('D'), QUIET_VALUE),
    ("key", None, QUIET_VALUE),
    ("limit-rate", None, QUIET_VALUE),
    ("max-time", Some('m'), QUIET_VALUE),
    ("output", Some('o'), QUIET_VALUE),
    ("proxy", Some('x'), QUIET_VALUE),
    ("resolve", None, QUIET_VALUE),
    ("retry", None, QUIET_VALUE),
    ("retry-delay", None, QUIET_VALUE),
    ("write-out", Some('w'), QUIET_VALUE),
];

// === impl Flag ===

impl Flag {
    const fn has_value(self) -> bool {
        match self {
            Self::Request
            | Self::Header
            | Self::Data(_)
            | Self::User
            | Self::Bearer
            | Self::AwsSigV4
            | Self::Upload
            | Self::UserAgent
            | Self::Cookie
            | Self::Referer
            | Self::Url => true,
            Self::Silent { has_value } => has_value,
            Self::Get | Self::Head | Self::PathAsIs | Self::GlobOff | Self::Refused(_) => false,
        }
    }
}

/// The flags of a command line, in their order. What is no flag is a URL, as for curl.
///
/// # Errors
/// A flag that is not known here, one that asks for something that cannot be explained, and a missing value.
pub(super) fn given(words: impl IntoIterator<Item = String>) -> Result<Vec<Given>, String> {
    let mut words = words.into_iter();
    let mut given = Vec::new();
    while let Some(word) = words.next() {
        if let Some(name) = word.strip_prefix("--").filter(|name| !name.is_empty()) {
            let flag = FLAGS.iter().find(|(long, ..)| *long == name).map(|(.., flag)| *flag);
            given.push(one(flag, word.clone(), || words.next())?);
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            let mut letters = letters.chars();
            while let Some(letter) = letters.next() {
                let flag = FLAGS.iter().find(|(_, short, _)| *short == Some(letter)).map(|(.., flag)| *flag);
                // A value may stand at its flag, as in `-XPOST`.
                let attached: String = match flag {
                    Some(flag) if flag.has_value() => letters.by_ref().collect(),
                    Some(_) | None => String::new(),
                };
                let value = || if attached.is_empty() { words.next() } else { Some(attached) };
                given.push(one(flag, format!("-{letter}"), value)?);
            }
        } else {
            given.push(Given { flag: Flag::Url, name: String::new(), value: word });
        }
    }
    Ok(given)
}

fn one(flag: Option<Flag>, name: String, value: impl FnOnce() -> Option<String>) -> Result<Given, String> {
    match flag {
        None => Err(format!(
            "curl's flag `{name}` is not known here: leave it out if it does not change the request"
        )),
        Some(Flag::Refused(why)) => Err(format!("`{name}`: {why}")),
        Some(flag) if flag.has_value() => {
            let value = value().ok_or_else(|| format!("`{name}` has no value"))?;
            Ok(Given { flag, name, value })
        }
        Some(flag) => Ok(Given { flag, name, value: String::new() }),
    }
}
