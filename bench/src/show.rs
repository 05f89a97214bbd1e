//! Figures as people read them.

use crate::results::{Bar, Figures, figure};

/// A whole number with its thousands apart.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if value < -0.5 { format!("-{out}") } else { out }
}

/// A value with three digits that count.
pub fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => grouped(value),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The unit of a figure, as a table's head shows it.
pub fn head(name: &str) -> &str {
    match name {
        figure::RATE => "events/s",
        figure::SECONDS => "s",
        figure::CPU_PROCESS => "CPU s/M, process",
        figure::CPU_POSTGRES => "CPU s/M, Postgres",
        figure::CPU_BROKERS => "CPU s/M, brokers",
        figure::MEMORY_MIB => "peak MiB",
        figure::WAL_BYTES => "WAL B/event",
        figure::P50_MS => "p50 ms",
        figure::P90_MS => "p90 ms",
        figure::P99_MS => "p99 ms",
        figure::MAX_MS => "max ms",
        figure::GAP_S => "longest gap s",
        figure::CPU_BROKERS_PUBLISHING => "CPU s/M, brokers, publishing",
        figure::KAFKA_BYTES => "Kafka B/event",
        figure::DISK_BYTES => "disk B/event",
        other => other,
    }
}

/// The figures of one run on one line.
pub fn line(figures: &Figures) -> String {
    let shown = figure::DEFINITIONS.iter().filter(|(name, _)| *name != figure::SECONDS);
    let known = shown.filter_map(|(name, _)| Some(format!("{} {}", short(*figures.get(name)?), head(name))));
    known.collect::<Vec<_>>().join(", ")
}

/// The bars as a table for a terminal.
pub fn bars(bars: &[Bar]) -> String {
    let line = |bar: &Bar| {
        let held = match bar.held {
            Some(true) => "held",
            Some(false) => "NOT HELD",
            None => "not measured",
        };
        let found = bar.figure.map_or("-".to_owned(), short);
        let sign = if bar.at_least { ">=" } else { "<=" };
        format!("{held:<13} {:<26} {found:>8} {sign} {:<8}", bar.name, short(bar.target)).trim_end().to_owned()
    };
    bars.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_can_be_read() {
        assert_eq!(grouped(1_234_567.4), "1,234,567");
        assert_eq!(grouped(-1_000.0), "-1,000");
        assert_eq!(short(999.6), "1000");
        assert_eq!(short(12.345), "12.3");
        assert_eq!(short(0.0667), "0.067");
    }
}
