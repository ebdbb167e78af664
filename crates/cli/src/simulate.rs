//! `tollgate simulate`: scenarios in virtual time, the Gate beside what else one
//! could do.

mod curves;
mod page;
mod pictures;
mod svg;

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use simulator::file::{File, NAMES, text};
use simulator::rivals::{self, Rival};
use simulator::{Report, run};

/// What is played, and how it is told.
#[derive(clap::Args)]
pub(crate) struct Play {
    /// A scenario's file, or the name of one that is built in [default: all of them]
    scenario: Option<String>,
    /// All chance comes from it
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// This many seeds from there on
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// For machines
    #[arg(long)]
    json: bool,
    /// Write the tables into DIR/limits.md, and the pictures beside it into DIR/img
    #[arg(long, value_name = "DIR", conflicts_with_all = ["scenario", "json"])]
    docs: Option<PathBuf>,
}

/// Plays scenarios and prints what came of them. An error lists what did not hold,
/// with the seed that shows it again.
pub(crate) fn simulate(play: &Play) -> Result<(), String> {
    let Play { scenario, seed, seeds, json, docs } = play;
    let names = scenario.as_deref().map_or_else(|| NAMES.to_vec(), |name| vec![name]);
    let mut broken = Vec::new();
    let mut found = Vec::new();
    for name in names {
        let file = read(name)?;
        let seeds = *seed..seed.saturating_add((*seeds).max(1));
        let mut gate: Option<Report> = None;
        let began = Instant::now();
        for seed in seeds.clone() {
            let scenario = file.scenario(seed);
            let report = run(&scenario);
            let whats = file.broken(&scenario, &report);
            broken.extend(whats.iter().map(|what| format!("{name}, seed {seed}: {what}")));
            merge(&mut gate, report);
        }
        let together = gate.as_ref().and_then(|report| file.broken_together(report));
        broken.extend(together.map(|what| format!("{name}: {what}")));
        let asked = gate.as_ref().map_or(0, |report| report.asked);
        eprintln!("{name}: {asked} requests in {} ms", began.elapsed().as_millis());
        let rivals = Rival::ALL.map(|rival| {
            let mut merged = None;
            for seed in seeds.clone() {
                merge(&mut merged, rivals::run(rival, &file.scenario(seed)));
            }
            (rival.name(), merged)
        });
        let rows = std::iter::once(("tollgate", gate)).chain(rivals);
        let rows = rows.filter_map(|(who, report)| report.map(|report| Row::of(who, &report)));
        let scenario = Found { scenario: name.to_owned(), about: file.about, rows: rows.collect() };
        if !json && docs.is_none() {
            scenario.print();
        }
        found.push(scenario);
    }
    if let Some(docs) = docs {
        write_docs(docs, &found)?;
    }
    if *json {
        let text = serde_json::to_string_pretty(&found).map_err(|error| error.to_string())?;
        println!("{text}");
    }
    if broken.is_empty() { Ok(()) } else { Err(format!("did not hold:\n{}", broken.join("\n"))) }
}

fn write_docs(docs: &Path, found: &[Found]) -> Result<(), String> {
    let page = docs.join("limits.md");
    let named = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(&page).map_err(|error| named(&page, error))?;
    let mut files = vec![(page, page::spliced(&text, found)?)];
    let pictures = pictures::all(found)?.into_iter();
    files.extend(pictures.map(|(name, text)| (docs.join("img").join(name), text)));
    for (path, text) in files {
        std::fs::write(&path, text).map_err(|error| named(&path, error))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

fn read(name: &str) -> Result<File, String> {
    if let Some(text) = text(name) {
        return File::parse(text).map_err(|error| format!("{name}: {error}"));
    }
    if !Path::new(name).exists() {
        return Err(format!("{name} is no file, and none of: {}", NAMES.join(", ")));
    }
    let text = std::fs::read_to_string(name).map_err(|error| format!("{name}: {error}"))?;
    File::parse(&text).map_err(|error| format!("{name}: {error}"))
}

fn merge(into: &mut Option<Report>, report: Report) {
    match into {
        Some(before) => before.merge(&report),
        none => *none = Some(report),
    }
}

/// One scenario's table.
#[derive(Debug, Serialize)]
struct Found {
    scenario: String,
    about: String,
    rows: Vec<Row>,
}

/// What one way to share the account came to, over all seeds. Times in ms, parts
/// in permille.
#[derive(Debug, Serialize)]
struct Row {
    who: &'static str,
    asked: u64,
    answered: u64,
    /// Of the limit that is used most.
    used_permille: u64,
    attempts: u64,
    refused_upstream: u64,
    /// Clients that failed after the provider had refused.
    visible_upstream: u64,
    refused: u64,
    attempts_per_1000_answers: u64,
    /// Jain's index over the tenants, in permille of fair.
    fairness_permille: u64,
    /// Rows that were written to storage.
    rows: u64,
    flows: Vec<FlowRow>,
}

#[derive(Debug, Serialize)]
struct FlowRow {
    tenant: String,
    priority: limits::message::Priority,
    asked: u64,
    refused: u64,
    wait_p50_ms: u64,
    wait_p95_ms: u64,
}

impl Row {
    fn of(who: &'static str, report: &Report) -> Self {
        let taken = report.attempts - report.refused_upstream;
        let flows = report.flows.iter().map(|flow| FlowRow {
            tenant: flow.tenant.clone(),
            priority: flow.priority,
            asked: flow.asked[0],
            refused: flow.refused,
            wait_p50_ms: flow.waits.quantile(500),
            wait_p95_ms: flow.waits.quantile(950),
        });
        Self {
            who,
            asked: report.asked,
            answered: report.answered,
            used_permille: (0..3).map(|kind| report.permille_of(kind)).max().unwrap_or(0),
            attempts: report.attempts,
            refused_upstream: report.refused_upstream,
            visible_upstream: report.visible_upstream,
            refused: report.refused() + report.unreachable,
            attempts_per_1000_answers: report.attempts * 1_000 / taken.max(1),
            fairness_permille: (report.fairness() * 1_000.0).round() as u64,
            rows: report.rows,
            flows: flows.collect(),
        }
    }
}

impl Row {
    /// Who asks for least: nobody's flood is its own.
    fn smallest(&self) -> Option<&FlowRow> {
        self.flows.iter().min_by_key(|flow| flow.asked)
    }
}

impl Found {
    fn print(&self) {
        println!("\n{}: {}", self.scenario, self.about);
        println!(
            "  {:<21} {:>6} {:>8} {:>9} {:>8} {:>8} {:>6}  {:<12} {:>9} {:>9}",
            "", "used", "429s", "seen 429s", "refused", "attempts", "fair", "tenant", "p50", "p95"
        );
        for row in &self.rows {
            print!(
                "  {:<21} {:>5}% {:>8} {:>9} {:>8} {:>8} {:>6}",
                row.who,
                tenths(row.used_permille),
                row.refused_upstream,
                row.visible_upstream,
                row.refused,
                thousandths(row.attempts_per_1000_answers),
                thousandths(row.fairness_permille),
            );
            for (place, flow) in row.flows.iter().enumerate() {
                if place > 0 {
                    print!("\n{:75}", "");
                }
                let (p50, p95) = (thousandths(flow.wait_p50_ms), thousandths(flow.wait_p95_ms));
                print!("  {:<12} {p50:>8}s {p95:>8}s", flow.tenant);
            }
            println!();
        }
    }
}

fn tenths(permille: u64) -> String {
    format!("{}.{}", permille / 10, permille % 10)
}

fn thousandths(of: u64) -> String {
    format!("{}.{:03}", of / 1_000, of % 1_000)
}
