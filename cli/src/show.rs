//! How results look: tables, numbers and moments for people, JSON for programs.

use std::io::{self, Write};

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use millrace_domain::money::{Currency, major_units};
use serde::Serialize;

/// Writes a result to stdout. A reader that closed the pipe has seen enough.
pub fn print(text: &str) -> anyhow::Result<()> {
    print_or_end(text).map(drop)
}

/// The same for what goes on: false if the reader has closed the pipe.
pub fn print_or_end(text: &str) -> anyhow::Result<bool> {
    // Both, for stdout keeps back what comes behind the last line end.
    let written = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("stdout: cannot be written"),
    }
}

/// Writes one JSON document to stdout.
pub fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Which side of its column a text stands on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table in a few quiet lines. A column's title and where its cells stand.
pub fn table<'a>(
    columns: impl IntoIterator<Item = (&'a str, Side)>,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let (titles, sides): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(titles);
    for row in rows {
        table.add_row(row.iter().map(|cell| on_one_line(cell)));
    }
    for (index, side) in sides.into_iter().enumerate() {
        let Some(column) = table.column_mut(index) else { continue };
        column.set_padding((if index == 0 { 2 } else { 1 }, 1));
        column.set_cell_alignment(if side == Side::Right { CellAlignment::Right } else { CellAlignment::Left });
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

/// Text that others chose must not move the cursor of whoever reads it.
pub fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A number with its thousands apart: 1,234,567.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3 + 1);
    if number < 0 {
        out.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// An amount in the major unit of its currency: 12.34 for 1234 GBP.
pub fn major(amount_minor: i128, currency: &str) -> String {
    match Currency::from_code(currency) {
        Some(currency) => major_units(amount_minor, currency.exponent()),
        None => format!("{amount_minor} minor units"),
    }
}

/// A duration in its two largest units.
pub fn age(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match () {
        () if days > 0 => format!("{days}d {hours}h"),
        () if hours > 0 => format!("{hours}h {minutes}m"),
        () if minutes > 0 => format!("{minutes}m {}s", seconds % 60),
        () => format!("{seconds}s"),
    }
}

/// A moment to the millisecond: the last three digits say nothing to people.
pub fn moment(rfc3339: &str) -> String {
    match rfc3339.len().checked_sub("000Z".len()) {
        Some(end) if rfc3339.contains('.') && rfc3339.is_ascii() => format!("{}Z", &rfc3339[..end]),
        _ => rfc3339.to_owned(),
    }
}

/// What may be absent, or a dash.
pub fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ages_and_moments_are_short_to_read() {
        assert_eq!([0, 999, 1000, -1_234_567].map(grouped), ["0", "999", "1,000", "-1,234,567"]);
        assert_eq!([0.4, 75.0, 7260.0, 90_000.0].map(age), ["0s", "1m 15s", "2h 1m", "1d 1h"]);
        assert_eq!(moment("2025-06-15T00:00:00.123456Z"), "2025-06-15T00:00:00.123Z");
        assert_eq!(major(-1234, "KWD"), "-1.234");
    }

    #[test]
    fn text_that_others_chose_stays_on_its_line() {
        assert_eq!(on_one_line("a\x1b[2J\nb"), "a\u{fffd}[2J\u{fffd}b");
    }
}
