//! One thread that reads and parses, and hands over batches: parsing is the most expensive step of publishing.
//!
//! It is a thread of its own and not a task, because a read from a terminal or a pipe may never return.

use std::io::{self, Read};

use tokio::sync::mpsc;

use super::lines::{Line, Lines, Mark};
use super::record::{self, Record};

const BATCH_LINES_MAX: usize = 1024;
const BATCH_BYTES_MAX: usize = 1024 * 1024;
const BATCHES_MAX: usize = 8;

/// One line, or the end.
pub struct Item {
    /// The place behind the line.
    pub mark: Mark,
    /// What is there.
    pub content: Content,
}

/// What a line is, or why there is no further one.
pub enum Content {
    /// To be published.
    Record(Record),
    /// Not to be published.
    Bad(BadLine),
    /// No more lines.
    End,
    /// The input cannot be read on.
    Unreadable(io::Error),
}

/// A line that cannot be published.
pub struct BadLine {
    /// Why, and what to do.
    pub reason: String,
    /// The line, or its beginning if it is too long.
    pub text: Vec<u8>,
    /// The length of a line of which only the beginning is here.
    pub line_bytes: Option<u64>,
}

/// How lines are read.
#[derive(Clone, Copy)]
pub struct Rules {
    /// Whether raw records are published.
    pub allow_raw: bool,
    /// The longest line.
    pub line_bytes_max: usize,
}

/// Starts the thread. It ends with the input, or when nobody wants its batches.
pub fn start<R: Read + Send + 'static>(lines: Lines<R>, rules: Rules) -> io::Result<mpsc::Receiver<Vec<Item>>> {
    let (sender, receiver) = mpsc::channel(BATCHES_MAX);
    std::thread::Builder::new().name("reader".into()).spawn(move || read(lines, rules, &sender))?;
    Ok(receiver)
}

fn read<R: Read>(mut lines: Lines<R>, rules: Rules, batches: &mpsc::Sender<Vec<Item>>) {
    let mut batch = Vec::with_capacity(BATCH_LINES_MAX);
    let mut batch_bytes = 0;
    loop {
        let (content, line_bytes) = next(&mut lines, rules);
        let ended = matches!(content, Some(Content::End | Content::Unreadable(_)));
        batch.extend(content.map(|content| Item { mark: lines.at(), content }));
        batch_bytes += line_bytes;
        // What is there is handed over before a read that may wait: a live stream is published as it comes.
        let full = batch.len() >= BATCH_LINES_MAX || batch_bytes >= BATCH_BYTES_MAX || lines.may_wait();
        if (ended || full) && !batch.is_empty() {
            batch_bytes = 0;
            let wanted = batches.blocking_send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH_LINES_MAX)));
            if wanted.is_err() {
                return;
            }
        }
        if ended {
            return;
        }
    }
}

/// The next line, none if it is blank, and its length.
fn next<R: Read>(lines: &mut Lines<R>, rules: Rules) -> (Option<Content>, usize) {
    match lines.next_line() {
        Ok(None) => (Some(Content::End), 0),
        Err(error) => (Some(Content::Unreadable(error)), 0),
        Ok(Some(Line::TooLong { start, bytes })) => {
            let reason = format!(
                "the line has {bytes} bytes, above the bound of {}: raise it by --max-line-bytes if that is an event",
                rules.line_bytes_max
            );
            (Some(Content::Bad(BadLine { reason, text: start.to_vec(), line_bytes: Some(bytes) })), start.len())
        }
        Ok(Some(Line::Whole(text))) => {
            let content = match record::parse(text, rules.allow_raw) {
                Ok(record) => record.map(Content::Record),
                Err(reason) => Some(Content::Bad(BadLine { reason, text: text.to_vec(), line_bytes: None })),
            };
            (content, text.len())
        }
    }
}
