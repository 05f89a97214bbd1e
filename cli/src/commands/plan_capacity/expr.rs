//! Formulas that show their own working: what is printed is what was computed.
//!
//! An expression is a value, its names and its numbers in one. Which formulas there are is `plan`'s business.

use std::fmt::Write;
use std::ops::{Add, Div, Mul, Sub};

use crate::show::grouped;

/// A formula, or a named value in one.
#[derive(Clone, Debug)]
pub enum Expr {
    /// A value with a name and a unit; the unit may be empty.
    Term {
        /// As the reader finds it: an option, a cost, or the result of an earlier step.
        name: String,
        /// The value.
        value: f64,
        /// Its unit.
        unit: String,
    },
    /// A number that needs no name, such as the seconds of a day.
    Number(f64),
    /// Something of two or more.
    Op(Op, Vec<Expr>),
}

/// What is done with the parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Their sum.
    Add,
    /// The first less the second.
    Sub,
    /// Their product.
    Mul,
    /// The first by the second.
    Div,
    /// The largest.
    Max,
    /// The only one, to the next whole number.
    Ceil,
    /// The first, doubled until it is at least the second.
    Doubled,
}

/// A named value.
pub fn term(name: impl Into<String>, value: f64, unit: impl Into<String>) -> Expr {
    Expr::Term { name: name.into(), value, unit: unit.into() }
}

/// A plain number.
pub fn number(value: f64) -> Expr {
    Expr::Number(value)
}

/// The largest of these.
pub fn max(parts: impl IntoIterator<Item = Expr>) -> Expr {
    Expr::Op(Op::Max, parts.into_iter().collect())
}

/// The next whole number.
pub fn ceil(part: Expr) -> Expr {
    Expr::Op(Op::Ceil, vec![part])
}

/// `start`, doubled until it is at least `need`.
pub fn doubled(start: Expr, need: Expr) -> Expr {
    Expr::Op(Op::Doubled, vec![start, need])
}

macro_rules! operator {
    ($trait:ident, $method:ident) => {
        impl $trait for Expr {
            type Output = Expr;

            fn $method(self, other: Expr) -> Expr {
                Expr::Op(Op::$trait, vec![self, other])
            }
        }
    };
}

operator!(Add, add);
operator!(Sub, sub);
operator!(Mul, mul);
operator!(Div, div);

/// Whole numbers that floating point missed by a hair must not become one more.
const WHOLE_WITHIN: f64 = 1e-9;

impl Expr {
    /// What it comes to.
    pub fn value(&self) -> f64 {
        let (op, parts) = match self {
            Expr::Term { value, .. } | Expr::Number(value) => return *value,
            Expr::Op(op, parts) => (op, parts),
        };
        let mut values = parts.iter().map(Expr::value);
        let first = values.next().unwrap_or_default();
        match op {
            Op::Add => values.fold(first, |sum, v| sum + v),
            Op::Sub => values.fold(first, |left, v| left - v),
            Op::Mul => values.fold(first, |product, v| product * v),
            Op::Div => values.fold(first, |quotient, v| quotient / v),
            Op::Max => values.fold(first, f64::max),
            Op::Ceil => (first * (1.0 - WHOLE_WITHIN)).ceil(),
            Op::Doubled => {
                let need = values.next().unwrap_or_default();
                let mut reached = first;
                while reached < need {
                    reached *= 2.0;
                }
                reached
            }
        }
    }

    /// The formula in names.
    pub fn names(&self) -> String {
        self.shown(&|expr| match expr {
            Expr::Term { name, .. } => name.clone(),
            other => figure(other.value()),
        })
    }

    /// The formula with the numbers put in.
    pub fn numbers(&self) -> String {
        self.shown(&|expr| match expr {
            Expr::Term { value, unit, .. } => with_unit(*value, unit),
            other => figure(other.value()),
        })
    }

    fn shown(&self, leaf: &dyn Fn(&Expr) -> String) -> String {
        let Expr::Op(op, parts) = self else { return leaf(self) };
        let all = || parts.iter().map(|part| part.shown(leaf)).collect::<Vec<String>>();
        match op {
            Op::Add => all().join(" + "),
            Op::Sub => self.infix(" - ", parts, leaf),
            Op::Mul => self.infix(" × ", parts, leaf),
            Op::Div => self.infix(" ÷ ", parts, leaf),
            Op::Max => format!("max({})", all().join(", ")),
            Op::Ceil => format!("ceil({})", all().concat()),
            Op::Doubled => all().join(", doubled until at least "),
        }
    }

    fn infix(&self, sign: &str, parts: &[Expr], leaf: &dyn Fn(&Expr) -> String) -> String {
        let mut out = String::new();
        for (index, part) in parts.iter().enumerate() {
            // What follows a minus or a division stands for itself: a - (b + c), a ÷ (b × c).
            let binds_less = part.rank() < self.rank() || (index > 0 && part.rank() == self.rank());
            let text = part.shown(leaf);
            let text = if binds_less { format!("({text})") } else { text };
            // Writing into a String cannot fail.
            let _ = write!(out, "{}{text}", if index > 0 { sign } else { "" });
        }
        out
    }

    fn rank(&self) -> u8 {
        match self {
            Expr::Op(Op::Add | Op::Sub | Op::Doubled, _) => 0,
            Expr::Op(Op::Mul | Op::Div, _) => 1,
            _ => 2,
        }
    }
}

/// A number as people read it: three digits that matter, thousands apart, powers of ten as such.
pub fn figure(value: f64) -> String {
    const POWERS: [i32; 3] = [6, 9, 12];
    if let Some(power) = POWERS.into_iter().find(|power| value == 10_f64.powi(*power)) {
        return format!("10^{power}");
    }
    plain(value)
}

/// The same without powers of ten: for results.
pub fn plain(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let magnitude = value.abs().log10().floor();
    let decimals = (2.0 - magnitude).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.decimals$}");
    match text.split_once('.') {
        None => grouped(value.round() as i64),
        Some((whole, fraction)) => match fraction.trim_end_matches('0') {
            "" => whole.to_owned(),
            fraction => format!("{whole}.{fraction}"),
        },
    }
}

/// A value and its unit. A constant's power of ten reads better as such, a measured value does not.
pub fn with_unit(value: f64, unit: &str) -> String {
    if unit.is_empty() { plain(value) } else { format!("{} {unit}", plain(value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expr: Expr, names: &str, numbers: &str, value: f64) {
        assert_eq!(expr.names(), names);
        assert_eq!(expr.numbers(), numbers);
        assert!((expr.value() - value).abs() <= value.abs() * 1e-9, "{} is not {value}", expr.value());
    }

    #[test]
    fn a_formula_shows_its_names_and_its_numbers_and_comes_to_its_value() {
        let (a, b, c) = (term("a", 6.0, "s"), term("b", 2.0, ""), term("c", 1.0, "GB"));
        check(a.clone() * b.clone() / number(1e6), "a × b ÷ 10^6", "6 s × 2 ÷ 10^6", 12e-6);
        check(a.clone() / (b.clone() * c.clone()), "a ÷ (b × c)", "6 s ÷ (2 × 1 GB)", 3.0);
        check((a.clone() + c.clone()) * b.clone(), "(a + c) × b", "(6 s + 1 GB) × 2", 14.0);
        check(a.clone() - (b.clone() + c.clone()), "a - (b + c)", "6 s - (2 + 1 GB)", 3.0);
        check(ceil(a / term("d", 4.0, "")) + b, "ceil(a ÷ d) + b", "ceil(6 s ÷ 4) + 2", 4.0);
        check(max([c, number(3.0)]), "max(c, 3)", "max(1 GB, 3)", 3.0);
    }

    #[test]
    fn partitions_double_and_are_left_alone_where_they_are_enough() {
        for (need, reached) in [(1.0, 12.0), (12.0, 12.0), (13.0, 24.0), (100.0, 192.0)] {
            assert_eq!(doubled(number(12.0), number(need)).value(), reached);
        }
    }

    #[test]
    fn a_whole_number_missed_by_a_hair_is_not_rounded_up() {
        assert_eq!(ceil(number(0.7) / number(0.1)).value(), 7.0);
        assert_eq!(ceil(number(7.001)).value(), 8.0);
    }

    #[test]
    fn numbers_show_three_digits_that_matter_and_large_ones_all() {
        let shown = [0.0, 0.025_714, 1.8, 7.75, 12.0, 99.96, 1234.5, 288e6].map(plain);
        assert_eq!(shown, ["0", "0.0257", "1.8", "7.75", "12", "100", "1,235", "288,000,000"]);
        assert_eq!([1e6, 1e9, 1e12, 2e6].map(figure), ["10^6", "10^9", "10^12", "2,000,000"]);
    }
}
