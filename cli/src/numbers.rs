//! Numbers as arguments, with an error that says what is wanted.

use std::num::NonZeroUsize;

/// A whole number from 1 on.
pub fn from_one(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "wanted a whole number from 1 on".to_owned())
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
}
