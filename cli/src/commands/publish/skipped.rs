//! The file of skipped lines: each whole, with its number and its reason, one JSON object a line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::checkpoint::with_suffix;

/// Lines that were set aside. The file is made with the first of them.
pub struct SkippedLines {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
}

#[derive(Serialize)]
struct Entry<'a> {
    line: u64,
    reason: &'a str,
    text: &'a str,
    /// The line as it is, where `text` is not: it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// The length of a line of which only the beginning is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    line_bytes: Option<u64>,
}

impl SkippedLines {
    /// Where they are kept unless the caller says otherwise.
    pub fn default_path(input: Option<&Path>) -> PathBuf {
        with_suffix(input.unwrap_or(Path::new("stdin")), ".skipped.ndjson")
    }

    /// A run from the beginning replaces the file of the run before.
    pub fn start(path: PathBuf) -> anyhow::Result<SkippedLines> {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot replace the file of skipped lines {}", path.display()))
            }
            _ => Ok(SkippedLines { path, file: None, bytes: 0 }),
        }
    }

    /// A run that goes on keeps what belongs before its mark, and cuts off what will be read again.
    pub fn resume(path: PathBuf, bytes: u64) -> anyhow::Result<SkippedLines> {
        let mut skipped = SkippedLines { path, file: None, bytes: 0 };
        if skipped.path.exists() {
            skipped
                .open()
                .and_then(|file| {
                    let bytes = bytes.min(file.metadata()?.len());
                    file.set_len(bytes)?;
                    file.seek(SeekFrom::Start(bytes))
                })
                .map(|kept| skipped.bytes = kept)
                .with_context(|| format!("cannot go on with the file of skipped lines {}", skipped.path.display()))?;
        }
        Ok(skipped)
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line and gives the length of the file. Not buffered: the checkpoint counts on it.
    pub fn append(&mut self, line: u64, reason: &str, text: &[u8], line_bytes: Option<u64>) -> anyhow::Result<u64> {
        let lossy = String::from_utf8_lossy(text);
        let is_text = matches!(lossy, std::borrow::Cow::Borrowed(_));
        let base64 = (!is_text).then(|| STANDARD.encode(text));
        let mut json = serde_json::to_vec(&Entry { line, reason, text: &lossy, base64, line_bytes })?;
        json.push(b'\n');
        self.open().and_then(|file| file.write_all(&json)).with_context(|| {
            format!("cannot write line {line} to the file of skipped lines {}", self.path.display())
        })?;
        self.bytes += json.len() as u64;
        Ok(self.bytes)
    }

    fn open(&mut self) -> io::Result<&mut File> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => {
                let file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path)?;
                Ok(none.insert(file))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("millrace-skipped-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory for scratch files");
        directory.join(name)
    }

    fn content(path: &Path) -> String {
        fs::read_to_string(path).expect("the file is there")
    }

    #[test]
    fn skipped_lines_are_kept_whole_with_number_and_reason() {
        let path = scratch("whole");
        let mut skipped = SkippedLines::start(path.clone()).expect("writable");
        assert!(!path.exists(), "no file before there is a line");
        skipped.append(3, "why", b"{\"a\"", None).expect("writable");
        skipped.append(9, "not UTF-8", b"\xff!", None).expect("writable");
        let bytes = skipped.append(12, "too long", b"xx", Some(5_000_000)).expect("writable");
        assert_eq!(
            content(&path),
            concat!(
                "{\"line\":3,\"reason\":\"why\",\"text\":\"{\\\"a\\\"\"}\n",
                "{\"line\":9,\"reason\":\"not UTF-8\",\"text\":\"\u{fffd}!\",\"base64\":\"/yE=\"}\n",
                "{\"line\":12,\"reason\":\"too long\",\"text\":\"xx\",\"line_bytes\":5000000}\n",
            )
        );
        assert_eq!(bytes, content(&path).len() as u64);
        fs::remove_file(path).expect("it is there");
    }

    #[test]
    fn going_on_cuts_off_what_will_be_read_again_and_starting_over_replaces_all() {
        let path = scratch("resumed");
        let mut skipped = SkippedLines::start(path.clone()).expect("writable");
        let first = skipped.append(1, "a", b"1", None).expect("writable");
        skipped.append(2, "b", b"2", None).expect("writable");

        let mut resumed = SkippedLines::resume(path.clone(), first).expect("writable");
        resumed.append(2, "b", b"2", None).expect("writable");
        assert_eq!(content(&path).lines().count(), 2);

        SkippedLines::start(path.clone()).expect("writable");
        assert!(!path.exists());
        let mut missing = SkippedLines::resume(path.clone(), first).expect("a missing file is an empty one");
        assert_eq!(missing.append(2, "b", b"2", None).expect("writable"), content(&path).len() as u64);
        fs::remove_file(path).expect("it is there");
    }
}
