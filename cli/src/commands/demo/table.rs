//! The result as people read it.

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};
use millrace_domain::money::{Currency, major_units};

use super::result::Result;
use super::teller::count;

const DIFFERENCES_SHOWN: usize = 40;

/// All of it.
pub fn render(result: &Result) -> String {
    let mut text = format!("{}\n\n{}\n\n", figures(result), balances(result));
    let yes = |is| if is { "yes" } else { "NO" };
    let _ = writeln!(
        text,
        "every offset accounted for: {} ({} in Kafka, {} by {} proof rows without gap or overlap)",
        yes(result.every_offset_accounted_for),
        count(result.in_kafka),
        count(result.accounted),
        count(result.batches),
    );
    let _ = writeln!(
        text,
        "books in order: {} ({} of {} checks of the whole ledger hold)",
        yes(result.broken_checks.is_empty()),
        result.checks - result.broken_checks.len(),
        result.checks
    );
    for broken in &result.broken_checks {
        let _ = writeln!(text, "  {broken}");
    }
    match result.as_expected {
        None => text += "as expected: nobody said what to expect (--expect FILE)\n",
        Some(is) => {
            let _ = writeln!(text, "as expected: {}", yes(is));
        }
    }
    for difference in result.differences.iter().take(DIFFERENCES_SHOWN) {
        let _ = writeln!(text, "  {difference}");
    }
    if let Some(more @ 1..) = result.differences.len().checked_sub(DIFFERENCES_SHOWN) {
        let _ = writeln!(text, "  and {more} more (-o json shows all)");
    }
    text
}

fn figures(result: &Result) -> Table {
    let mut table = table(["", "", ""]);
    let mut row = |section: &str, what: &str, value: String| {
        table.add_row([section, what, value.as_str()]);
    };
    let found = &result.found;
    row("published", "", count(result.published));
    if result.skipped > 0 {
        row("set aside", "lines that are no events", count(result.skipped));
    }
    row("applied", "as they came", count(found.applied - found.drained_applied));
    row("", "parked first, until what they waited for had come", count(found.drained_applied));
    row("duplicate", "", count(found.duplicates));
    sections(&mut row, "rejected", &found.rejected);
    sections(&mut row, "parked", &found.parked);
    sections(&mut row, "payments", &found.payments_by_status);
    speed(&mut row, result);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn sections(row: &mut impl FnMut(&str, &str, String), section: &str, figures: &BTreeMap<String, u64>) {
    let mut figures: Vec<_> = figures.iter().collect();
    figures.sort_by_key(|(name, value)| (std::cmp::Reverse(**value), *name));
    for (nth, (name, value)) in figures.into_iter().enumerate() {
        row(if nth == 0 { section } else { "" }, name, count(*value));
    }
}

fn speed(row: &mut impl FnMut(&str, &str, String), result: &Result) {
    let rate = |rate: Option<f64>| rate.map_or("too short to tell".into(), |rate| format!("{}/s", count(rate as u64)));
    let pair = |p50: f64, p99: f64| format!("{p50:.1} / {p99:.1} ms");
    if let Some(latency) = result.latency {
        let what = format!("publish to commit, p50 / p99, at a steady {}/s", count(result.steady_per_second));
        row("latency", &what, pair(latency.p50, latency.p99));
    }
    if let (Some(p50), Some(p99)) = (result.accepted_p50_ms, result.accepted_p99_ms) {
        row("", "publish to accepted by the brokers, within it", pair(p50, p99));
    }
    let burst = format!("burst of {}", count(result.burst_records));
    if result.kill.is_some() {
        row("events", &format!("{burst}, up to the kill"), rate(result.burst_until_kill_per_second));
        row("", "first to last commit, with the wait for the takeover", rate(result.burst_per_second));
    } else {
        row("events", &format!("{burst}, first to last commit"), rate(result.burst_per_second));
    }
}

/// Accounts down, currencies across, in major units.
fn balances(result: &Result) -> Table {
    let currencies: Vec<&String> = result.balance_sum_minor.keys().collect();
    let mut table = table(std::iter::once("balances").chain(currencies.iter().map(|code| code.as_str())));
    let amounts = |name: &str, amounts: &BTreeMap<String, i128>| -> Vec<String> {
        let shown = |code: &&String| amounts.get(*code).map_or(String::new(), |minor| amount(*minor, code));
        std::iter::once(name.to_owned()).chain(currencies.iter().map(shown)).collect()
    };
    for (class, balances) in &result.balances_by_class_minor {
        table.add_row(amounts(class, balances));
    }
    table.add_row(amounts("sum", &result.balance_sum_minor));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn table<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let header: Vec<&str> = header.into_iter().collect();
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    if header.iter().any(|cell| !cell.is_empty()) {
        table.set_header(header);
    }
    table
}

/// `-1,234.50`.
fn amount(minor: i128, code: &str) -> String {
    let exponent = Currency::from_code(code).map_or(0, |currency| currency.exponent());
    let text = major_units(minor, exponent);
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut grouped = String::new();
    for (nth, digit) in whole.chars().enumerate() {
        if nth > 0 && (whole.len() - nth) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match fraction {
        "" => format!("{sign}{grouped}"),
        _ => format!("{sign}{grouped}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_in_major_units_by_thousands() {
        for (minor, code, shown) in [
            (-123_456_789, "GBP", "-1,234,567.89"),
            (999, "JPY", "999"),
            (1_000, "JPY", "1,000"),
            (0, "KWD", "0.000"),
            (-100_000, "USD", "-1,000.00"),
        ] {
            assert_eq!(amount(minor, code), shown);
        }
    }
}
