//! OPA's answers, kept: one compressed file, one line for each case.

use std::{
    collections::HashMap,
    fs,
    io::{Read as _, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, Result, bail};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};

use super::case::{Answers, Case};

/// What OPA answered when it was last asked.
#[derive(Debug)]
pub struct Recording {
    /// OPA's version.
    pub version: String,
    /// By the case's name: its digest and the answers.
    lines: HashMap<String, (String, String)>,
}

// === impl Recording ===

impl Recording {
    /// Where it stands.
    pub fn path() -> PathBuf {
        crate::repository().join("integration/tests/opa-answers/answers.gz")
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it is absent or not readable.
    pub fn read() -> Result<Self> {
        let path = Self::path();
        let compressed = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut text = String::new();
        GzDecoder::new(compressed.as_slice())
            .read_to_string(&mut text)
            .context("the records do not unpack")?;
        let (version, rest) = text.split_once('\n').context("the records are empty")?;
        let mut lines = HashMap::new();
        for line in rest.lines() {
            let mut parts = line.splitn(3, '\t');
            let (Some(name), Some(digest), Some(answers)) = (parts.next(), parts.next(), parts.next()) else {
                bail!("a record is not readable: `{line}`");
            };
            lines.insert(name.to_owned(), (digest.to_owned(), answers.to_owned()));
        }
        Ok(Self { version: version.to_owned(), lines })
    }

    /// Writes OPA's answers to `cases`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(version: &str, cases: &[Case], answers: &[Answers]) -> Result<()> {
        let mut text = format!("{version}\n");
        for (case, answers) in cases.iter().zip(answers) {
            text.push_str(&format!("{}\t{}\t{}\n", case.name, case.digest(), answers.to_record()));
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text.as_bytes())?;
        let path = Self::path();
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&path, encoder.finish()?).with_context(|| format!("cannot write {}", path.display()))
    }

    /// The answers to `cases`, in their order.
    ///
    /// # Errors
    /// When one was recorded otherwise, or not at all.
    pub fn answers(&self, cases: &[Case]) -> Result<Vec<Answers>> {
        cases.iter().map(|case| self.answer(case)).collect()
    }

    fn answer(&self, case: &Case) -> Result<Answers> {
        let name = &case.name;
        let how = "record OPA's answers anew: `cargo run -p integration --bin differential -- --record`";
        let Some((digest, answers)) = self.lines.get(name) else { bail!("`{name}` has no record: {how}") };
        if *digest != case.digest() {
            bail!("`{name}` is no longer what was recorded: {how}");
        }
        Answers::from_record(answers, case).with_context(|| format!("`{name}`: {how}"))
    }
}
