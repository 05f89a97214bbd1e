//! The input: a file or stdin, from its beginning or from a mark, known again by its first bytes.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::lines::{HEAD_BYTES_MAX, Head, Lines, Mark};

/// An opened input, before its first byte is read.
pub struct Input {
    /// The name for messages.
    pub name: String,
    /// The path, if it is a regular file: only then can a later run find it again by itself.
    pub file: Option<PathBuf>,
    /// The length of a regular file.
    pub bytes: Option<u64>,
    source: Source,
}

/// Where the bytes come from.
pub enum Source {
    /// A file, or whatever else has a path.
    File(File),
    /// Standard input.
    Stdin,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::File(file) => file.read(buffer),
            Source::Stdin => io::stdin().read(buffer),
        }
    }
}

impl Input {
    /// Opens a file, or stdin for `-`.
    pub fn open(path: &Path) -> anyhow::Result<Input> {
        if path.as_os_str() == "-" {
            return Ok(Input { name: "stdin".into(), file: None, bytes: None, source: Source::Stdin });
        }
        let name = path.display().to_string();
        let kind =
            fs::metadata(path).with_context(|| format!("cannot read {name}: name a file of NDJSON, or - for stdin"))?;
        if kind.is_dir() {
            bail!("{name} is a directory: name one file of NDJSON, or `cat {name}/*.ndjson | millrace publish -`");
        }
        let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
        let regular = kind.is_file();
        Ok(Input {
            name,
            file: regular.then(|| path.to_owned()),
            bytes: regular.then_some(kind.len()),
            source: Source::File(file),
        })
    }

    /// The lines behind a mark. `check` looks at the first bytes and may refuse.
    pub fn lines_from(
        mut self,
        mark: Mark,
        line_bytes_max: usize,
        head: &Head,
        check: impl FnOnce(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<Lines<Source>> {
        if mark.offset > 0 {
            self.go_to(mark, head, check).with_context(|| format!("cannot go on in {}", self.name))?;
        }
        Ok(Lines::new(self.source, mark, line_bytes_max, head.clone()))
    }

    fn go_to(
        &mut self,
        mark: Mark,
        head: &Head,
        check: impl FnOnce(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let head_bytes = mark.offset.min(HEAD_BYTES_MAX as u64);
        let mut first = Vec::new();
        self.source.by_ref().take(head_bytes).read_to_end(&mut first)?;
        check(&first)?;
        head.replace(&first);
        match (&mut self.source, self.bytes) {
            (Source::File(file), Some(bytes)) => {
                if bytes < mark.offset {
                    bail!("it has {bytes} bytes, but {} were published: leave out --resume to start over", mark.offset);
                }
                file.seek(SeekFrom::Start(mark.offset - 1))?;
            }
            (source, _) => {
                let rest = mark.offset - head_bytes;
                let skipped = io::copy(&mut source.by_ref().take(rest), &mut io::sink())?;
                if skipped < rest {
                    bail!(
                        "it ended after {} bytes, but {} were published: leave out --resume to start over",
                        head_bytes + skipped,
                        mark.offset
                    );
                }
                return Ok(());
            }
        }
        self.stands_between_lines(mark)
    }

    /// A last line without a line end that has grown since would be cut in two.
    fn stands_between_lines(&mut self, mark: Mark) -> anyhow::Result<()> {
        let mut last = [0];
        self.source.read_exact(&mut last)?;
        if last != *b"\n" && self.bytes != Some(mark.offset) {
            bail!(
                "byte {} is not the end of line {} any more: the file was changed; leave out --resume to start over",
                mark.offset,
                mark.line
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::publish::lines::Line;

    fn file(name: &str, content: &[u8]) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("millrace-input-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory for scratch files");
        let path = directory.join(name);
        fs::write(&path, content).expect("writable");
        path
    }

    fn rest(path: &Path, mark: Mark) -> anyhow::Result<Vec<String>> {
        const LINE_BYTES_MAX: usize = 100;
        let input = Input::open(path)?;
        let mut lines = input.lines_from(mark, LINE_BYTES_MAX, &Head::default(), |_head| Ok(()))?;
        let mut all = Vec::new();
        while let Some(Line::Whole(line)) = lines.next_line()? {
            all.push(String::from_utf8_lossy(line).into_owned());
        }
        Ok(all)
    }

    #[test]
    fn a_resumed_file_goes_on_behind_the_mark() {
        let path = file("resumed", b"one\ntwo\nthree");
        assert_eq!(rest(&path, Mark::default()).expect("readable"), ["one", "two", "three"]);
        assert_eq!(rest(&path, Mark { line: 1, offset: 4 }).expect("readable"), ["two", "three"]);
        assert!(rest(&path, Mark { line: 3, offset: 13 }).expect("at its end").is_empty());
    }

    #[test]
    fn a_file_that_shrank_or_was_changed_before_the_mark_is_refused() {
        let path = file("changed", b"one\ntwo\nthree");
        let shrunk = rest(&path, Mark { line: 9, offset: 100 }).expect_err("too short");
        assert!(format!("{shrunk:#}").contains("it has 13 bytes"), "{shrunk:#}");
        let moved = rest(&path, Mark { line: 1, offset: 5 }).expect_err("within a line");
        assert!(format!("{moved:#}").contains("is not the end of line 1"), "{moved:#}");
    }

    #[test]
    fn a_missing_file_and_a_directory_are_told_apart() {
        let missing = Input::open(Path::new("/no/such/file.ndjson")).err().expect("missing");
        assert!(format!("{missing:#}").contains("No such file"), "{missing:#}");
        let directory = Input::open(&std::env::temp_dir()).err().expect("a directory");
        assert!(directory.to_string().contains("is a directory"), "{directory}");
    }
}
