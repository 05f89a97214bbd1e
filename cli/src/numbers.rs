//! Numbers as arguments, with an error that says what is wanted.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A whole number from 1 on.
pub fn from_one(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "wanted a whole number from 1 on".to_owned())
}

/// Takes a whole number within these bounds. Its type must be named, and be that of the field: clap finds out only when it runs.
pub fn within<N: FromStr + PartialOrd + Display + Clone>(
    bounds: RangeInclusive<N>,
) -> impl Fn(&str) -> Result<N, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if bounds.contains(&number) => Ok(number),
        _ => Err(format!("wanted a whole number, {} to {}", bounds.start(), bounds.end())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_from_one_on_are_taken() {
        assert_eq!(from_one("7").map(NonZeroUsize::get), Ok(7));
        for text in ["0", "-1", "1k", "", "99999999999999999999"] {
            assert!(from_one(text).is_err_and(|said| said.contains("from 1 on")), "{text:?}");
        }
    }

    #[test]
    fn whole_numbers_within_bounds_are_taken() {
        let parse = within(1..=500_u32);
        assert_eq!((parse("1"), parse("500")), (Ok(1), Ok(500)));
        for text in ["0", "501", "-1", "1k", ""] {
            assert_eq!(parse(text), Err("wanted a whole number, 1 to 500".to_owned()), "{text:?}");
        }
    }
}
