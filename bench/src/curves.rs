//! The curves of earlier runs, which take too long for every bench: each stands in a file of its own, with the commit and
//! the command that measured it. A bar that a run does not measure itself is read off the newest of them, and says so.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::bars;
use crate::options::Part;
use crate::results::{Bar, Results, Source};

/// Where they stand, within the repository.
pub const DIRECTORY: &str = "bench/curves";

/// The file of a run that measured nothing but curves; none if it measured anything else.
pub fn file_of(parts: &[Part]) -> Option<PathBuf> {
    let names: Option<Vec<String>> = parts.iter().map(|part| part.is_curve().then(|| part.shown())).collect();
    Some(Path::new(DIRECTORY).join(format!("{}.json", names?.join("+"))))
}

/// All that are kept, by the paths of their files within the repository.
pub fn kept(repository: &Path) -> anyhow::Result<Vec<(String, Results)>> {
    let directory = repository.join(DIRECTORY);
    let Ok(entries) = std::fs::read_dir(&directory) else { return Ok(Vec::new()) };
    let mut kept = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let (true, Some(name)) = (path.extension().is_some_and(|e| e == "json"), path.file_name()) else { continue };
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let results = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        kept.push((format!("{DIRECTORY}/{}", name.to_string_lossy()), results));
    }
    Ok(kept)
}

/// Fills in the bars that were not measured, each from the newest curve that has it.
pub fn fill_in(bars: &mut [Bar], kept: &[(String, Results)]) {
    let mut newest: Vec<&(String, Results)> = kept.iter().collect();
    newest.sort_by(|(_, a), (_, b)| b.date.cmp(&a.date));
    for bar in bars.iter_mut().filter(|bar| !bar.measured) {
        let found = newest.iter().find_map(|(file, results)| {
            let known = bars::of(results).into_iter().find(|known| known.name == bar.name && known.measured)?;
            let source = Source { file: file.clone(), commit: results.commit.clone(), date: results.date.clone() };
            Some((known, source))
        });
        if let Some((known, source)) = found {
            (bar.figure, bar.held, bar.source) = (known.figure, known.held, Some(source));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Figures, Place, figure};
    use crate::scaling;

    fn run(date: &str, partitions: u64, mib: f64) -> Results {
        let mut results = Results { date: date.into(), ..Results::default() };
        let place = Place { scenario: scaling::BY_PARTITIONS, contender: "millrace", parameter: Some(partitions) };
        results.add(&place, 1, &Figures::from([(figure::MEMORY_MIB, mib)]));
        results
    }

    #[test]
    fn a_bar_that_was_not_measured_is_read_off_the_newest_curve_and_says_so() {
        let kept = [("a".to_owned(), run("2026-01-01", 64, 300.0)), ("b".to_owned(), run("2026-02-01", 64, 200.0))];
        let mut bars = bars::of(&Results::default());
        fill_in(&mut bars, &kept);
        let bar = bars.iter().find(|bar| bar.name == "memory_64_partitions").expect("it is a bar");
        assert_eq!((bar.figure, bar.held, bar.measured), (Some(200.0), Some(true), false));
        assert_eq!(bar.source.as_ref().map(|source| source.file.as_str()), Some("b"));
    }

    #[test]
    fn what_this_run_measured_stands() {
        let mut bars = bars::of(&run("2026-03-01", 64, 150.0));
        fill_in(&mut bars, &[("a".to_owned(), run("2026-04-01", 64, 300.0))]);
        let bar = bars.iter().find(|bar| bar.name == "memory_64_partitions").expect("it is a bar");
        assert_eq!((bar.figure, bar.source.as_ref()), (Some(150.0), None));
    }

    #[test]
    fn only_a_run_of_nothing_but_curves_is_one() {
        let file = file_of(&[Part::Partitions, Part::SecondWorker]).expect("both are curves");
        assert!(file.ends_with("partitions+second-worker.json"));
        assert_eq!(file_of(&[Part::CatchUp, Part::Partitions]), None);
    }
}
