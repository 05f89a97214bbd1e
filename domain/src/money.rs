//! Money: an integer amount in minor units, and a currency of ISO 4217.
//!
//! Converting between currencies and formatting for a locale are left to others.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

/// The largest amount of one event, 2^53 - 1 minor units: what every JSON reader holds exactly.
pub const AMOUNT_MINOR_MAX: i64 = (1 << 53) - 1;

/// A currency of ISO 4217 that has a minor unit. Metals, test codes and `XXX` have none and are refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The currency with this three-letter code, in capitals; none if ISO 4217 gives it no minor unit.
    pub fn from_code(code: &str) -> Option<Currency> {
        let bytes: [u8; 3] = code.as_bytes().try_into().ok()?;
        if !bytes.iter().all(u8::is_ascii_uppercase) {
            return None;
        }
        let known = &KNOWN[place(bytes)];
        if known.load(Ordering::Relaxed) == NOT_ASKED {
            let exponent = iso_currency::Currency::from_code(code).and_then(|currency| currency.exponent());
            known.store(if exponent.is_some() { IS_CURRENCY } else { IS_NONE }, Ordering::Relaxed);
        }
        (known.load(Ordering::Relaxed) == IS_CURRENCY).then_some(Currency(bytes))
    }

    /// The three-letter code.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).expect("from_code lets only ASCII capitals in")
    }

    /// The number of decimal places between the major and the minor unit: JPY 0, GBP 2, KWD 3, CLF 4.
    pub fn exponent(&self) -> u8 {
        iso_currency::Currency::from_code(self.code())
            .and_then(|c| c.exponent())
            .and_then(|e| u8::try_from(e).ok())
            .expect("from_code lets only currencies with an exponent in")
    }
}

const LETTERS: usize = 26;

/// What was found out about each code of three capitals: asked once for each event, and the table of ISO 4217 is long.
static KNOWN: [AtomicU8; LETTERS * LETTERS * LETTERS] = [const { AtomicU8::new(NOT_ASKED) }; _];
const NOT_ASKED: u8 = 0;
const IS_CURRENCY: u8 = 1;
const IS_NONE: u8 = 2;

/// The place of a code of three capitals among all such codes.
fn place(code: [u8; 3]) -> usize {
    code.iter().fold(0, |place, letter| place * LETTERS + usize::from(letter - b'A'))
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount in the major unit, for people: `1234` minor units of GBP read `12.34`.
pub fn major_units(amount_minor: i128, exponent: u8) -> String {
    let sign = if amount_minor < 0 { "-" } else { "" };
    let digits = format!("{:0width$}", amount_minor.unsigned_abs(), width = usize::from(exponent) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(exponent));
    match fraction {
        "" => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_has_the_exponent_of_iso_4217() {
        for (code, exponent) in [("JPY", 0), ("GBP", 2), ("EUR", 2), ("KWD", 3), ("CLF", 4), ("UYW", 4)] {
            assert_eq!(Currency::from_code(code).map(|c| c.exponent()), Some(exponent), "{code}");
        }
    }

    #[test]
    fn a_code_without_a_minor_unit_or_in_small_letters_is_no_currency() {
        for code in ["XAU", "XXX", "XTS", "gbp", "GB", "GBPX", "", "ZZZ", "£££"] {
            assert_eq!(Currency::from_code(code), None, "{code}");
        }
    }

    #[test]
    fn an_amount_is_shown_in_its_major_unit() {
        for (minor, exponent, shown) in
            [(1234, 2, "12.34"), (-5, 2, "-0.05"), (7, 0, "7"), (1, 3, "0.001"), (0, 2, "0.00")]
        {
            assert_eq!(major_units(minor, exponent), shown);
        }
    }
}
