//! The command's numbers as people write them: 10k, 1M, 3/day, 90d. What cannot be is refused with what could be.

use std::time::Duration;

/// Beyond this many events per second the model says nothing: it knows nothing of links, racks and regions.
pub const PER_SECOND_MAX: f64 = 1e9;
const USERS_MAX: f64 = 1e11;
const PEAK_FACTOR_MAX: f64 = 1_000.0;
const HEADROOM_MAX: f64 = 0.95;
const DAY: Duration = Duration::from_secs(86_400);
const DURATION_MIN: Duration = Duration::from_secs(60);
const DURATION_MAX: Duration = Duration::from_secs(100 * 366 * 86_400);

const NO_LOAD: &str = "there is no load to plan for; give more than 0";

/// A number with an optional k, M or G behind it; `_` may part its thousands.
fn number(text: &str) -> Result<f64, String> {
    let plain = text.trim().replace('_', "");
    let (digits, factor) = match plain.char_indices().last() {
        Some((end, 'k' | 'K')) => (&plain[..end], 1e3),
        Some((end, 'M')) => (&plain[..end], 1e6),
        Some((end, 'G')) => (&plain[..end], 1e9),
        _ => (plain.as_str(), 1.0),
    };
    let number = digits.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number * factor);
    number.ok_or_else(|| format!("{text:?} is not a number; write such as 2500, 10k or 1M"))
}

fn more_than_none(text: &str) -> Result<f64, String> {
    let number = number(text)?;
    if number > 0.0 { Ok(number) } else { Err(NO_LOAD.into()) }
}

/// A number of users.
pub fn users(text: &str) -> Result<f64, String> {
    let users = more_than_none(text)?;
    match () {
        () if users.fract() != 0.0 => Err(format!("{text} is not a whole number of users")),
        () if users > USERS_MAX => Err(format!("{text} is more users than there are people, at most {USERS_MAX:e}")),
        () => Ok(users),
    }
}

/// Events per second.
pub fn per_second(text: &str) -> Result<f64, String> {
    let rate = more_than_none(text)?;
    match rate <= PER_SECOND_MAX {
        true => Ok(rate),
        false => {
            Err(format!("{text} is more than the {PER_SECOND_MAX:e} events/s that this model says anything about"))
        }
    }
}

/// Events in some time, as events a day.
pub fn events_per_day(text: &str) -> Result<f64, String> {
    let (count, unit) = text.split_once('/').unwrap_or((text, "day"));
    let days = match unit.trim() {
        "s" | "sec" | "second" => 1.0 / 86_400.0,
        "min" | "minute" => 1.0 / 1_440.0,
        "h" | "hour" => 1.0 / 24.0,
        "d" | "day" => 1.0,
        "w" | "week" => 7.0,
        "month" => 365.25 / 12.0,
        "y" | "year" => 365.25,
        other => {
            return Err(format!(
                "no unit of time {other:?}; write /second, /minute, /hour, /day, /week, /month or /year"
            ));
        }
    };
    Ok(more_than_none(count)? / days)
}

/// A peak against its mean.
pub fn peak_factor(text: &str) -> Result<f64, String> {
    within(text, 1.0, PEAK_FACTOR_MAX, "a peak is at least the mean; 3 is usual for one region, 1 is a level load")
}

/// A share that stays free.
pub fn headroom(text: &str) -> Result<f64, String> {
    within(text, 0.0, HEADROOM_MAX, "give a share, such as 0.3 for 30 %")
}

/// A price.
pub fn price(text: &str) -> Result<f64, String> {
    within(text, 0.0, 1e9, "give the price of one unit, such as 25")
}

fn within(text: &str, least: f64, most: f64, advice: &str) -> Result<f64, String> {
    let number = number(text)?;
    match (least..=most).contains(&number) {
        true => Ok(number),
        false => Err(format!("{text} is outside {least} to {most}; {advice}")),
    }
}

/// A time for which something is kept.
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| format!("{error}; write such as 7d, 90d or 2y"))?;
    match (DURATION_MIN..=DURATION_MAX).contains(&duration) {
        true => Ok(duration),
        false => {
            Err(format!("{text} is outside 1 minute to 100 years ({} days)", DURATION_MAX.as_secs() / DAY.as_secs()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (text, value) in
            [("2500", 2_500.0), ("10k", 1e4), ("1M", 1e6), ("1.5G", 1.5e9), ("1_000", 1e3), ("1e3", 1e3)]
        {
            assert_eq!(number(text), Ok(value));
        }
        for text in ["", "k", "ten", "1T", "inf", "nan", "1,5"] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_without_a_unit_is_for_a_day() {
        for (text, a_day) in [("3", 3.0), ("3/day", 3.0), ("1/h", 24.0), ("7/week", 1.0), ("1/s", 86_400.0)] {
            assert!((events_per_day(text).expect(text) - a_day).abs() < 1e-9, "{text}");
        }
        assert!(events_per_day("3/").is_err());
        assert!(events_per_day("0/day").is_err());
    }
}
