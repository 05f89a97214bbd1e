//! `BENCHMARKS.md`: what was measured, as a page for people. It is written by the bench and never by hand.

use crate::plots::Plot;
use crate::results::{Bar, Machine, Measurement, Results, Source, Spread, figure};
use crate::show;

/// The whole page.
pub fn page(results: &Results, plots: &[Plot]) -> String {
    let mut out = String::from(
        "# Benchmarks\n\nWritten by `make bench`; every figure is the median of the rounds, with the smallest and the \
         largest in brackets. All contenders ran in this one run and in turn: a round gives each of them one turn. What \
         the figures mean, and how to measure again, is in the [README](README.md).\n\n",
    );
    out += &setting(results);
    out += &bars(&results.bars);
    for scenario in results.scenarios() {
        out += &table(results, scenario);
        for plot in plots.iter().filter(|plot| plot.scenario == scenario) {
            out += &format!("![{}](plots/{})\n\n", plot.title, plot.file);
        }
    }
    out += "## What the figures mean\n\n";
    for (name, meaning) in figure::DEFINITIONS {
        out += &format!("- **{}**: {meaning}.\n", show::head(name));
    }
    out
}

fn setting(results: &Results) -> String {
    let Machine { cpu, cores, memory_gib, kernel, postgres } = &results.machine;
    let settings: Vec<String> = postgres.iter().map(|(name, value)| format!("`{name} = {value}`")).collect();
    let mut out = format!(
        "- **Machine**: {cores} cores of {cpu}, {memory_gib} GiB, Linux {kernel}. They are shared by three Kafka nodes, \
         Postgres and the contender.\n- **Postgres**: {}\n- **Commit**: {}\n- **Command**: `{}`, the {} form, in {:.0} s\n\
         - **Date**: {}\n",
        settings.join(", "),
        results.commit,
        results.command,
        results.form,
        results.took_seconds,
        results.date,
    );
    for note in &results.notes {
        out += &format!("- **Note**: {}\n", one_line(note));
    }
    for wrong in &results.wrong {
        out += &format!("- **WRONG RESULT**, so that its figures count for nothing: {}\n", one_line(wrong));
    }
    out + "\n"
}

fn bars(bars: &[Bar]) -> String {
    let mut out = String::from("## Bars\n\n| bar | wanted | found | held |\n|---|---:|---:|---|\n");
    for bar in bars {
        let sign = if bar.at_least { "≥" } else { "≤" };
        let held = match bar.held {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "not measured",
        };
        // The page stands in bench/, and the path is that within the repository.
        let elsewhere = |source: &Source| {
            let file = source.file.trim_start_matches("bench/");
            format!(", by [another run]({file}) of {}", source.commit)
        };
        let held = format!("{held}{}", bar.source.as_ref().map_or(String::new(), elsewhere));
        let figure = bar.figure.map_or("-".to_owned(), show::short);
        out += &format!("| {} | {sign} {} | {figure} | {held} |\n", bar.statement, show::short(bar.target));
    }
    out + "\n"
}

fn table(results: &Results, scenario: &str) -> String {
    let measured: Vec<&Measurement> = results.of(scenario).collect();
    let has = |name: &str| measured.iter().any(|m| m.figures.contains_key(name));
    let names: Vec<&str> = figure::DEFINITIONS.iter().map(|(name, _)| *name).filter(|name| has(name)).collect();
    let mut out = format!("## {}{}\n\n", scenario[..1].to_uppercase(), &scenario[1..]);
    let rounds = measured.iter().flat_map(|m| m.figures.values().map(|spread| spread.runs.len())).max().unwrap_or(0);
    let events = measured.iter().map(|m| m.events).max().unwrap_or(0);
    out += &format!("Rounds: {rounds}. Events of a run: up to {}.\n\n", show::grouped(events as f64));
    let heads: Vec<&str> = names.iter().map(|name| show::head(name)).collect();
    out += &format!("| | {} |\n|---|{}\n", heads.join(" | "), "---:|".repeat(names.len()));
    for m in measured {
        let who = match m.parameter {
            Some(parameter) => format!("{}, {}", m.contender, show::grouped(parameter as f64)),
            None => m.contender.clone(),
        };
        let cells: Vec<String> = names.iter().map(|name| m.figures.get(*name).map_or("".to_owned(), cell)).collect();
        out += &format!("| {who} | {} |\n", cells.join(" | "));
    }
    out + "\n"
}

fn cell(spread: &Spread) -> String {
    let Spread { median, min, max, runs } = spread;
    match runs.len() {
        1 => show::short(*median),
        _ => format!("{} ({} to {})", show::short(*median), show::short(*min), show::short(*max)),
    }
}

fn one_line(text: &str) -> String {
    const SHOWN_CHARS: usize = 300;
    let flat: String = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "/");
    flat.chars().take(SHOWN_CHARS).collect()
}
