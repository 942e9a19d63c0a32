//! A curl command line as the request that curl sends.

mod flags;
mod url;

use std::path::Path;

use base64ct::{Base64, Encoding as _};

use self::{
    flags::{Data, Flag, Given},
    url::{Reading, Url},
};
use super::{
    asked::{Asked, Target, header_name, method, read},
    shell,
};

/// A request, and what of it only a shell would know.
#[derive(Debug)]
pub(super) struct Pasted {
    pub(super) asked: Asked,
    pub(super) unknown: Vec<String>,
}

/// What flags have said so far.
#[derive(Debug, Default)]
struct Command {
    method: Option<String>,
    urls: Vec<String>,
    reading: Reading,
    headers: Vec<(String, Option<String>)>,
    /// Header values that hold where no header of that name is given.
    defaults: Vec<(&'static str, String)>,
    cookies: Vec<String>,
    data: Option<Vec<u8>>,
    is_json: bool,
    is_get: bool,
    is_head: bool,
    upload: Option<String>,
    user: Option<String>,
    sigv4: Option<String>,
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Reads a command line.
///
/// # Errors
/// When it is none of curl's, or asks for something that cannot be explained.
pub(super) fn read_command(text: &str) -> Result<Pasted, String> {
    let shell::Words { words, unknown } = shell::words(text)?;
    let mut words = words.into_iter().skip_while(|word| word == "$").peekable();
    let is_curl = words.next().is_some_and(|word| word == "curl" || word.ends_with("/curl"));
    if !is_curl {
        return Err("this is no command line of curl, as `curl https://s3.amazonaws.com/`".to_owned());
    }
    let mut command = Command::default();
    for given in flags::given(words)? {
        command.take(given)?;
    }
    Ok(Pasted { asked: command.asked()?, unknown })
}

// === impl Command ===

impl Command {
    fn take(&mut self, given: Given) -> Result<(), String> {
        let Given { flag, name, value } = given;
        let said = |problem: String| format!("`{name}`: {problem}");
        match flag {
            Flag::Request => self.method = Some(method(&value).map_err(said)?),
            Flag::Header => self.headers.push(header(&value).map_err(said)?),
            Flag::Data(data) => self.add_data(data, &value).map_err(said)?,
            Flag::User => self.user = Some(value),
            Flag::Bearer => self.imply("authorization", format!("Bearer {value}")),
            Flag::AwsSigV4 => self.sigv4 = Some(value),
            Flag::Get => self.is_get = true,
            Flag::Head => self.is_head = true,
            Flag::Upload => self.upload = Some(value),
            Flag::UserAgent => self.imply("user-agent", value),
            Flag::Cookie if value.contains('=') => self.cookies.push(value),
            Flag::Cookie => return Err(said("a file of cookies is not read here".to_owned())),
            Flag::Referer => self.imply("referer", value),
            Flag::Url => self.urls.push(value),
            Flag::PathAsIs => self.reading.path_as_is = true,
            Flag::GlobOff => self.reading.globoff = true,
            Flag::Silent { .. } | Flag::Refused(_) => {}
        }
        Ok(())
    }

    fn imply(&mut self, name: &'static str, value: String) {
        self.defaults.retain(|(known, _)| *known != name);
        self.defaults.push((name, value));
    }

    fn add_data(&mut self, kind: Data, value: &str) -> Result<(), String> {
        let file = value.strip_prefix('@');
        let more = match (kind, file) {
            (Data::UrlEncode, _) => url_encoded(value)?.into_bytes(),
            (Data::Raw, _) | (_, None) => value.as_bytes().to_vec(),
            (Data::Ascii, Some(file)) => {
                let mut content = read(Path::new(file))?;
                content.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
                content
            }
            (Data::Binary | Data::Json, Some(file)) => read(Path::new(file))?,
        };
        let data = self.data.get_or_insert_default();
        if !data.is_empty() && kind != Data::Json {
            data.push(b'&');
        }
        data.extend(more);
        self.is_json |= kind == Data::Json;
        Ok(())
    }

    fn asked(mut self) -> Result<Asked, String> {
        let url = match self.urls.as_slice() {
            [url] => Url::read(url, self.reading)?,
            [] => return Err("there is no URL in it".to_owned()),
            [_, another, ..] => {
                return Err(format!("`{another}` is a second URL: give the requests one by one"));
            }
        };
        let Url { mut target, user } = url;
        self.authorize(&target, user)?;
        let mut body = self.data.take();
        if self.is_get {
            add_to_query(&mut target, body.take())?;
        }
        let methods = [self.is_head, self.upload.is_some(), body.is_some()];
        if methods.into_iter().filter(|asked| *asked).count() > 1 {
            return Err("curl takes only one of `--head`, `--upload-file` and data".to_owned());
        }
        if !self.cookies.is_empty() {
            let cookies = self.cookies.join(";");
            self.imply("cookie", cookies);
        }
        if body.is_some() {
            let content_type = if self.is_json { JSON } else { FORM };
            self.imply("content-type", content_type.to_owned());
        }
        if self.is_json {
            self.imply("accept", JSON.to_owned());
        }
        let implied = match (&self.upload, &body) {
            _ if self.is_head => "HEAD",
            (Some(_), _) => "PUT",
            (None, Some(_)) => "POST",
            (None, None) => "GET",
        };
        if let Some(file) = self.upload.take() {
            if target.path.ends_with('/') {
                target
                    .path
                    .push_str(Path::new(&file).file_name().unwrap_or_default().to_string_lossy().as_ref());
            }
            // `.` is standard input too.
            let file = if file == "." { "-" } else { file.as_str() };
            body = Some(read(Path::new(file))?);
        }
        let method = self.method.take().unwrap_or_else(|| implied.to_owned());
        let headers = self.all_headers(&mut target);
        Ok(Asked { method, target, headers, body })
    }

    /// What proves who asks. It is not looked at, but for the service that a signature is for.
    fn authorize(&mut self, target: &Target, of_url: Option<String>) -> Result<(), String> {
        let user = self.user.take().or(of_url);
        if let Some(sigv4) = self.sigv4.take() {
            let mut names = sigv4.split(':').skip(2);
            let host = target.authority.split(':').next().unwrap_or_default();
            let mut labels = host.split('.');
            let (first, second) = (labels.next(), labels.next());
            let (Some(region), Some(service)) = (names.next().or(second), names.next().or(first)) else {
                return Err("`--aws-sigv4` names no region and no service".to_owned());
            };
            let key = user.as_deref().and_then(|user| user.split(':').next()).unwrap_or_default();
            let scope = format!("Credential={key}/20000101/{region}/{service}/aws4_request");
            let signed = format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host;x-amz-date, Signature=0");
            self.imply("authorization", signed);
        } else if let Some(user) = user {
            let proof = Base64::encode_string(user.as_bytes());
            self.imply("authorization", format!("Basic {proof}"));
        }
        Ok(())
    }

    /// The headers that were given, and curl's own where none of that name was.
    fn all_headers(self, target: &mut Target) -> Vec<(String, String)> {
        let own = [("user-agent", "curl".to_owned()), ("accept", "*/*".to_owned())];
        let mut defaults = self.defaults;
        for (name, value) in own {
            if !defaults.iter().any(|(known, _)| *known == name) {
                defaults.push((name, value));
            }
        }
        let is_given = |name: &str| self.headers.iter().any(|(given, _)| given == name);
        let mut all: Vec<(String, String)> = defaults
            .into_iter()
            .filter(|(name, value)| !is_given(name) && !value.is_empty())
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        for (name, value) in self.headers {
            match value {
                Some(value) if name == "host" => target.authority = value,
                Some(value) => all.push((name, value)),
                None => {}
            }
        }
        all
    }
}

/// A header as curl reads it: `Name: value`, `Name:` for none, `Name;` for an empty one.
fn header(text: &str) -> Result<(String, Option<String>), String> {
    if text.starts_with('@') {
        return Err("a file of headers is not read here".to_owned());
    }
    if let Some((name, value)) = text.split_once(':') {
        let value = value.trim();
        return Ok((header_name(name.trim())?, Some(value.to_owned()).filter(|value| !value.is_empty())));
    }
    match text.strip_suffix(';') {
        Some(name) => Ok((header_name(name)?, Some(String::new()))),
        None => Err(format!("`{text}` is no header, as `accept: text/plain`")),
    }
}

/// With `--get` the data go into the query.
fn add_to_query(target: &mut Target, data: Option<Vec<u8>>) -> Result<(), String> {
    let Some(data) = data.filter(|data| !data.is_empty()) else { return Ok(()) };
    let data = String::from_utf8(data).map_err(|_| "what `--get` puts into the query is no text")?;
    let separator = if target.path.contains('?') { '&' } else { '?' };
    target.path.push(separator);
    target.path.push_str(&data);
    Ok(())
}

/// `CONTENT`, `=CONTENT`, `NAME=CONTENT`, `@FILE` or `NAME@FILE`, of which the content is escaped.
fn url_encoded(value: &str) -> Result<String, String> {
    let Some(at) = value.find(['=', '@']) else { return Ok(escaped(value.as_bytes())) };
    let (name, content) = value.split_at_checked(at).unwrap_or((value, ""));
    let content = match content.strip_prefix('@') {
        Some(file) => escaped(&read(Path::new(file))?),
        None => escaped(content.strip_prefix('=').unwrap_or_default().as_bytes()),
    };
    Ok(if name.is_empty() { content } else { format!("{name}={content}") })
}

fn escaped(content: &[u8]) -> String {
    content.iter().fold(String::new(), |mut text, byte| {
        match byte {
            b' ' => text.push('+'),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) => text.push(char::from(*byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
        text
    })
}
