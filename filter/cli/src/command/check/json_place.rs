//! Where in a text of JSON something stands: a configuration's mistakes have paths, and people have lines.

use std::ops::Range;

use hexr_authz_core::lint::Span;

/// One step of a path.
enum Step {
    Key(String),
    Index(usize),
}

/// The key at the path `$.a.b[0]["c d"]` of a document, or the nearest above it that is there.
pub(super) fn span(text: &str, path: &str) -> Option<Span> {
    let steps = steps(path).filter(|steps| !steps.is_empty())?;
    let mut reading = Reading { text, at: 0 };
    reading.value(&steps)?.map(|range| of_bytes(text, range))
}

/// A message of the JSON or YAML parser without its `at line L column C`, and that place.
pub(super) fn taken_out(message: &str) -> (String, Option<Span>) {
    let place = message.rsplit_once(" at line ").and_then(|(what, place)| {
        let (line, column) = place.trim_end_matches('.').split_once(" column ")?;
        let (line, column): (usize, usize) = (line.trim().parse().ok()?, column.trim().parse().ok()?);
        Some((what.to_owned(), Span { line: line.max(1), column: column.max(1), length: 1 }))
    });
    match place {
        Some((what, span)) => (what, Some(span)),
        None => (message.to_owned(), None),
    }
}

fn of_bytes(text: &str, range: Range<usize>) -> Span {
    let before = text.get(..range.start).unwrap_or_default();
    let covered = text.get(range).unwrap_or_default();
    Span {
        line: before.matches('\n').count() + 1,
        column: before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
        length: covered.chars().count().max(1),
    }
}

/// The steps of a path; nothing where it is none.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(named) = rest.strip_prefix('.') {
            let end = named.find(['.', '[']).unwrap_or(named.len());
            let (name, after) = named.split_at(end);
            steps.push(Step::Key(name.to_owned()));
            rest = after;
        } else if rest.starts_with("[\"") {
            let mut reading = Reading { text: rest, at: 1 };
            let key = reading.string()?;
            steps.push(Step::Key(serde_json::from_str(rest.get(key)?).ok()?));
            rest = rest.get(reading.at..)?.strip_prefix(']')?;
        } else {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(Step::Index(index.parse().ok()?));
            rest = after;
        }
    }
    Some(steps)
}

/// A walk through a document that parses.
struct Reading<'t> {
    text: &'t str,
    at: usize,
}

// === impl Reading ===

impl Reading<'_> {
    /// Passes over a value; the place that `steps` lead to in it, as far as they do. Nothing at the end of the text.
    fn value(&mut self, steps: &[Step]) -> Option<Option<Range<usize>>> {
        self.blank();
        match self.byte()? {
            b'{' => self.object(steps),
            b'[' => self.array(steps),
            b'"' => self.string().map(|_| None),
            _ => {
                let rest = self.text.get(self.at..)?;
                let is_end = |char: char| matches!(char, ',' | ']' | '}') || char.is_whitespace();
                self.at += rest.find(is_end).unwrap_or(rest.len());
                Some(None)
            }
        }
    }

    /// Passes over a value in which nothing is looked for.
    fn pass(&mut self) -> Option<()> {
        self.value(&[]).map(|_| ())
    }

    fn object(&mut self, steps: &[Step]) -> Option<Option<Range<usize>>> {
        let mut found = None;
        self.at += 1;
        loop {
            self.blank();
            if self.byte()? != b'"' {
                self.at += 1;
                return Some(found);
            }
            let key = self.string()?;
            let name: String = serde_json::from_str(self.text.get(key.clone())?).ok()?;
            self.past(b':')?;
            match steps.split_first() {
                // Of two keys that are the same the second is the one too many.
                Some((Step::Key(wanted), rest)) if *wanted == name => found = self.value(rest)?.or(Some(key)),
                Some(_) | None => self.pass()?,
            }
            if !self.goes_on()? {
                return Some(found);
            }
        }
    }

    fn array(&mut self, steps: &[Step]) -> Option<Option<Range<usize>>> {
        let mut found = None;
        self.at += 1;
        self.blank();
        if self.byte()? == b']' {
            self.at += 1;
            return Some(None);
        }
        for place in 0.. {
            self.blank();
            let start = self.at;
            match steps.split_first() {
                Some((Step::Index(wanted), rest)) if *wanted == place => {
                    let below = self.value(rest)?;
                    found = below.or_else(|| Some(start..self.end_of_line(start)));
                }
                Some(_) | None => self.pass()?,
            }
            if !self.goes_on()? {
                break;
            }
        }
        Some(found)
    }

    /// The end of what was passed over, or of its first line.
    fn end_of_line(&self, start: usize) -> usize {
        let passed = self.text.get(start..self.at).unwrap_or_default();
        start + passed.find('\n').unwrap_or(passed.len())
    }

    /// Passes over a comma, or over the bracket that closes.
    fn goes_on(&mut self) -> Option<bool> {
        self.blank();
        let is_comma = self.byte()? == b',';
        self.at += 1;
        Some(is_comma)
    }

    /// Passes over a text; the place of it with its quotes.
    fn string(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.byte()? {
                b'\\' => self.at += 2,
                b'"' => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(start..self.at)
    }

    fn past(&mut self, byte: u8) -> Option<()> {
        self.blank();
        (self.byte()? == byte).then(|| self.at += 1)
    }

    fn blank(&mut self) {
        while self.byte().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}
