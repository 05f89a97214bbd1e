//! The figures as pictures, in SVG: bars where contenders are compared, a curve where one thing is varied.

use std::path::Path;

use anyhow::anyhow;
use plotters::prelude::*;

use crate::results::{Measurement, Results, Spread, figure};
use crate::show;

/// A picture that was drawn.
pub struct Plot {
    /// The scenario that it belongs to.
    pub scenario: String,
    /// Its file's name.
    pub file: String,
    /// What it shows.
    pub title: String,
}

const WIDTH: u32 = 960;
const ROW_HEIGHT: u32 = 34;
const TEXT: (&str, i32) = ("sans-serif", 15);
const OURS: RGBColor = RGBColor(31, 119, 180);
const THEIRS: RGBColor = RGBColor(160, 160, 160);

/// Draws what can be drawn into a directory.
pub fn draw(results: &Results, directory: &Path) -> anyhow::Result<Vec<Plot>> {
    std::fs::create_dir_all(directory)?;
    let mut plots = Vec::new();
    for scenario in results.scenarios() {
        let measured: Vec<&Measurement> = results.of(scenario).collect();
        let is_curve = measured.iter().filter(|m| m.parameter.is_some()).count() > 1;
        for name in [figure::RATE, figure::CPU_PROCESS, figure::P99_MS] {
            let with: Vec<(&Measurement, &Spread)> =
                measured.iter().filter_map(|m| Some((*m, m.figures.get(name)?))).collect();
            if with.len() < 2 || (is_curve && name != figure::RATE) {
                continue;
            }
            let title = format!("{scenario}: {}", show::head(name));
            let file = format!("{}.svg", slug(&format!("{scenario} {}", show::head(name))));
            let path = directory.join(&file);
            let drawn = if is_curve { curve(&path, &title, &with) } else { comparison(&path, &title, &with) };
            drawn.map_err(|error| anyhow!("{}: {error}", path.display()))?;
            plots.push(Plot { scenario: scenario.to_owned(), file, title });
        }
    }
    Ok(plots)
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

/// A bar for each contender, its spread as a line.
fn comparison(path: &Path, title: &str, measured: &[(&Measurement, &Spread)]) -> Drawn {
    const LABELS: u32 = 430;
    let rows = u32::try_from(measured.len())?;
    let root = SVGBackend::new(path, (WIDTH, 90 + rows * ROW_HEIGHT)).into_drawing_area();
    root.fill(&WHITE)?;
    let most = measured.iter().map(|(_, spread)| spread.max).fold(f64::MIN_POSITIVE, f64::max);
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(30)
        .margin_left(LABELS)
        .build_cartesian_2d(0.0..most * 1.12, 0.0..f64::from(rows))?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(6)
        .x_label_formatter(&|value| show::short(*value))
        .label_style(TEXT)
        .draw()?;
    for (row, (measurement, spread)) in measured.iter().enumerate() {
        let low = f64::from(rows) - row as f64 - 0.8;
        let color = if measurement.contender.starts_with("millrace") { OURS } else { THEIRS };
        chart.draw_series([Rectangle::new([(0.0, low), (spread.median, low + 0.6)], color.filled())])?;
        chart.draw_series([PathElement::new([(spread.min, low + 0.3), (spread.max, low + 0.3)], BLACK)])?;
        let (x, y) = chart.backend_coord(&(0.0, low + 0.5));
        let label = format!("{}  {}", measurement.contender, show::short(spread.median));
        let style = TextStyle::from(TEXT.into_font()).pos(plotters::style::text_anchor::Pos::new(
            plotters::style::text_anchor::HPos::Right,
            plotters::style::text_anchor::VPos::Top,
        ));
        root.draw(&Text::new(label, (x - 8, y), style))?;
    }
    root.present()?;
    Ok(())
}

/// A line through the medians, each with its spread; the parameter on a logarithmic axis.
fn curve(path: &Path, title: &str, measured: &[(&Measurement, &Spread)]) -> Drawn {
    let mut points: Vec<(f64, &Spread)> =
        measured.iter().filter_map(|(m, spread)| Some((m.parameter? as f64, *spread))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (first, last) = (points.first().map_or(1.0, |p| p.0), points.last().map_or(1.0, |p| p.0));
    let most = points.iter().map(|(_, spread)| spread.max).fold(f64::MIN_POSITIVE, f64::max);
    let root = SVGBackend::new(path, (WIDTH, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(15)
        .x_label_area_size(35)
        .y_label_area_size(80)
        .build_cartesian_2d((first * 0.9..last * 1.1).log_scale(), 0.0..most * 1.1)?;
    chart
        .configure_mesh()
        .x_label_formatter(&|value| show::grouped(*value))
        .y_label_formatter(&|value| show::short(*value))
        .label_style(TEXT)
        .draw()?;
    chart.draw_series(LineSeries::new(points.iter().map(|(x, spread)| (*x, spread.median)), &OURS))?;
    for (x, spread) in &points {
        chart.draw_series([PathElement::new([(*x, spread.min), (*x, spread.max)], BLACK)])?;
        chart.draw_series([Circle::new((*x, spread.median), 4, OURS.filled())])?;
    }
    root.present()?;
    Ok(())
}

fn slug(text: &str) -> String {
    let words: Vec<String> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    words.join("-")
}
