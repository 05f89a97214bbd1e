//! The working: every step with its formula, its numbers and its result, in the order in which they follow.
//!
//! Which steps there are is `plan`'s business.

use serde::Serialize;

use super::expr::{Expr, plain, term, with_unit};

/// One step.
#[derive(Serialize, Clone, Debug)]
pub struct Step {
    /// What it is about: load, workers, postgres, ...
    pub part: &'static str,
    /// The name of the result.
    pub name: &'static str,
    /// The formula in names.
    pub formula: String,
    /// The formula with its numbers.
    pub numbers: String,
    /// The result.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
}

/// The steps so far.
#[derive(Default)]
pub struct Working {
    part: &'static str,
    steps: Vec<Step>,
}

impl Working {
    /// What the next steps are about.
    pub fn part(&mut self, part: &'static str) {
        self.part = part;
    }

    /// Computes a step, writes it down, and gives its result for later formulas.
    pub fn step(&mut self, name: &'static str, unit: &'static str, formula: Expr) -> Expr {
        let value = formula.value();
        let (names, numbers) = (formula.names(), formula.numbers());
        self.steps.push(Step { part: self.part, name, formula: names, numbers, value, unit });
        term(name, value, unit)
    }

    /// All of them.
    pub fn done(self) -> Vec<Step> {
        self.steps
    }
}

/// The steps for people, one of them a pair of lines.
pub fn text(steps: &[Step]) -> String {
    let mut out = String::new();
    let mut part = "";
    for step in steps {
        if step.part != part {
            part = step.part;
            out += &format!("\n  {part}\n");
        }
        let Step { name, formula, numbers, value, unit, .. } = step;
        let indent = " ".repeat(name.chars().count());
        let result = if unit.is_empty() { plain(*value) } else { with_unit(*value, unit) };
        out += &format!("    {name} = {formula}\n    {indent} = {numbers} = {result}\n");
    }
    out
}
