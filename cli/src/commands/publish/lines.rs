//! Lines of any input, by number and byte offset, in bounded memory: a line above the bound is measured, not kept.
//!
//! What a line means is left to `record`.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};

use memchr::memchr;

/// How much of the beginning of the input is remembered, to know the input again by.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
const READ_BYTES: usize = 256 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A place between two lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mark {
    /// Lines before it, so the number of the line that ends there.
    pub line: u64,
    /// Bytes before it.
    pub offset: u64,
}

/// One line without its line end.
#[derive(PartialEq, Eq, Debug)]
pub enum Line<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// Its beginning, for it is longer than the bound.
    TooLong {
        /// The first bytes, as many as the bound allows.
        start: &'a [u8],
        /// How long the line is, with its line end.
        bytes: u64,
    },
}

/// The first bytes of an input, filled by the reader while others look at it.
#[derive(Clone, Default)]
pub struct Head(Arc<Mutex<Vec<u8>>>);

impl Head {
    /// Calls with the bytes so far.
    pub fn with<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets the bytes that were read before the lines begin.
    pub fn replace(&self, bytes: &[u8]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bytes[..bytes.len().min(HEAD_BYTES_MAX)].to_vec();
    }

    fn append(&self, bytes: &[u8]) -> usize {
        let mut head = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = HEAD_BYTES_MAX - head.len();
        head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        head.len()
    }
}

/// Reads lines.
pub struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    line_bytes_max: usize,
    at: Mark,
    head: Head,
    head_full: bool,
}

impl<R: Read> Lines<R> {
    /// From the beginning of an input, or from a mark at which the reader stands already.
    pub fn new(reader: R, at: Mark, line_bytes_max: usize, head: Head) -> Lines<R> {
        let head_full = head.with(|bytes| bytes.len() == HEAD_BYTES_MAX);
        Lines {
            reader: BufReader::with_capacity(READ_BYTES, reader),
            line: Vec::new(),
            line_bytes_max,
            at,
            head,
            head_full,
        }
    }

    /// The place behind the last line.
    pub fn at(&self) -> Mark {
        self.at
    }

    /// Whether the next line may have to be waited for.
    pub fn may_wait(&self) -> bool {
        self.reader.buffer().is_empty()
    }

    /// The next line; `at` is then the place behind it.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let began_at = self.at.offset;
        let mut ended = false;
        while !ended {
            let chunk = match self.reader.fill_buf() {
                Ok([]) => break,
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let used = match memchr(b'\n', chunk) {
                Some(end) => {
                    ended = true;
                    end + 1
                }
                None => chunk.len(),
            };
            // Two more than the bound, for a line end of Windows.
            let room = (self.line_bytes_max + 2).saturating_sub(self.line.len());
            self.line.extend_from_slice(&chunk[..used.min(room)]);
            if !self.head_full {
                self.head_full = self.head.append(&chunk[..used]) == HEAD_BYTES_MAX;
            }
            self.reader.consume(used);
            self.at.offset += used as u64;
        }
        let bytes = self.at.offset - began_at;
        if bytes == 0 {
            return Ok(None);
        }
        self.at.line += 1;
        Ok(Some(self.trimmed(bytes, began_at)))
    }

    fn trimmed(&self, bytes: u64, began_at: u64) -> Line<'_> {
        let mut text = self.line.as_slice();
        let whole = bytes == text.len() as u64;
        if whole {
            text = text.strip_suffix(b"\n").unwrap_or(text);
            text = text.strip_suffix(b"\r").unwrap_or(text);
        }
        if began_at == 0 {
            text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        }
        if whole && text.len() <= self.line_bytes_max {
            return Line::Whole(text);
        }
        Line::TooLong { start: &text[..text.len().min(self.line_bytes_max)], bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE_BYTES_MAX: usize = 10;

    /// Each line as text, with the place behind it; `<n>` is a line of n bytes that is too long.
    fn lines(input: &[u8]) -> Vec<(u64, u64, String)> {
        let mut lines = Lines::new(input, Mark::default(), LINE_BYTES_MAX, Head::default());
        let mut all = Vec::new();
        loop {
            let shown = match lines.next_line().expect("a slice is always readable") {
                None => return all,
                Some(Line::Whole(text)) => String::from_utf8_lossy(text).into_owned(),
                Some(Line::TooLong { start, bytes }) => {
                    format!("{}<{bytes}>", String::from_utf8_lossy(start))
                }
            };
            all.push((lines.at().line, lines.at().offset, shown));
        }
    }

    fn line(number: u64, offset: u64, text: &str) -> (u64, u64, String) {
        (number, offset, text.to_owned())
    }

    #[test]
    fn lines_have_numbers_from_one_and_end_at_their_byte_offsets() {
        assert_eq!(lines(b"a\nbc\n"), [line(1, 2, "a"), line(2, 5, "bc")]);
        assert_eq!(lines(b""), []);
    }

    #[test]
    fn the_last_line_needs_no_line_end() {
        assert_eq!(lines(b"a\nbc"), [line(1, 2, "a"), line(2, 4, "bc")]);
    }

    #[test]
    fn line_ends_of_windows_and_a_byte_order_mark_are_not_part_of_the_line() {
        assert_eq!(lines(b"\xef\xbb\xbfa\r\nb\r\n"), [line(1, 6, "a"), line(2, 9, "b")]);
    }

    #[test]
    fn an_empty_line_counts() {
        assert_eq!(lines(b"a\n\nb\n"), [line(1, 2, "a"), line(2, 3, ""), line(3, 5, "b")]);
    }

    #[test]
    fn a_line_of_exactly_the_bound_is_whole_with_any_line_end() {
        for input in ["0123456789", "0123456789\n", "0123456789\r\n"] {
            assert_eq!(lines(input.as_bytes()), [line(1, input.len() as u64, "0123456789")]);
        }
        assert_eq!(lines(b"0123456789x\nb\n"), [line(1, 12, "0123456789<12>"), line(2, 14, "b")]);
    }

    #[test]
    fn a_line_of_ten_megabytes_is_measured_and_not_kept() {
        let mut input = vec![b'x'; 10_000_000];
        input.extend_from_slice(b"\nb\n");
        let mut lines = Lines::new(input.as_slice(), Mark::default(), LINE_BYTES_MAX, Head::default());
        let first = lines.next_line().expect("readable").expect("a line");
        assert_eq!(first, Line::TooLong { start: b"xxxxxxxxxx", bytes: 10_000_001 });
        assert!(lines.line.capacity() < 1_000);
        assert_eq!(lines.next_line().expect("readable"), Some(Line::Whole(b"b")));
    }

    #[test]
    fn the_head_is_what_was_read_up_to_its_bound() {
        let head = Head::default();
        let input = b"0123456789abcdef\n".repeat(10_000);
        let mut lines = Lines::new(input.as_slice(), Mark::default(), LINE_BYTES_MAX, head.clone());
        lines.next_line().expect("readable");
        assert!(head.with(|bytes| bytes == b"0123456789abcdef\n"));
        while lines.next_line().expect("readable").is_some() {}
        assert!(head.with(|bytes| bytes == &input[..HEAD_BYTES_MAX]));
    }
}
