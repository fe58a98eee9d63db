//! `cargo xtask bench`: Quorate beside `redis-server` 7.0.15 in one run, so that only ratios count.
//!
//! Every round drives each system once per case, alternating; a figure is the median of the rounds.
//! CPU is user plus system time of the server processes alone, from `/proc`, per operation: it is
//! steadier than throughput on a shared machine. Nothing here asserts: a person reads the table, a
//! script the JSON. `cargo xtask bench snapshot` looks at snapshots under load, `cargo xtask
//! bench types` at collections, `cargo xtask bench large` at values of a million elements, `cargo
//! xtask bench links` at slow and narrow links between the replicas, `cargo xtask bench talk` at
//! transactions and waiting, `cargo xtask bench pubsub` at messages.

mod drive;
mod gaps;
mod large;
mod links;
mod memory;
mod probe;
mod pubsub;
mod report;
mod snapshot;
pub(crate) mod systems;
mod talk;
mod types;

use report::{Measured, Report};
use std::path::Path;
use systems::System;

/// One way to load a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    /// `set` or `get`.
    pub(crate) test: &'static str,
    /// Connections.
    pub(crate) clients: u32,
    /// Commands per pipeline.
    pub(crate) pipeline: u32,
    /// Requests of one round.
    pub(crate) requests: u32,
}

const fn case(test: &'static str, clients: u32, pipeline: u32, requests: u32) -> Case {
    Case { test, clients, pipeline, requests }
}

/// The cases of the published table. Requests are chosen so that a round of one case takes one to
/// three seconds.
const CASES: &[Case] = &[
    case("set", 1, 1, 10_000),
    case("set", 50, 1, 120_000),
    case("set", 256, 1, 200_000),
    case("set", 50, 16, 600_000),
    case("set", 50, 64, 1_000_000),
    case("get", 1, 1, 15_000),
    case("get", 50, 1, 150_000),
    case("get", 256, 1, 200_000),
    case("get", 50, 16, 1_000_000),
];

/// What the command line asks for.
struct Options {
    rounds: u32,
    json: Option<String>,
    only: Option<String>,
    memory_keys: u32,
}

/// Runs the bench. `args`: `--rounds N` (default 5), `--only set` (part of a case's name), `--json
/// FILE`, `--memory-keys N` (default 5,000,000; 0 leaves the memory comparison out).
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), String> {
    match args.split_first().map(|(word, rest)| (word.as_str(), rest)) {
        Some(("snapshot", rest)) => return snapshot::run(root, rest),
        Some(("types", rest)) => return types::run(root, rest),
        Some(("large", rest)) => return large::run(root, rest),
        Some(("links", rest)) => return links::run(root, rest),
        Some(("pubsub", rest)) => return pubsub::run(root, rest),
        Some(("talk", rest)) => return talk::run(root, rest),
        _ => {}
    }
    let options = parse(args)?;
    let binary = systems::build(root)?;
    let scratch = std::env::temp_dir().join(format!("quorate-bench-{}", std::process::id()));
    let mut report = Report::default();
    let outcome = compare(&options, &binary, &scratch, &mut report).and_then(|()| {
        if options.memory_keys > 0 {
            report.memory = memory::compare(&binary, &scratch.join("memory"), options.memory_keys)?;
        }
        Ok(())
    });
    let _ = std::fs::remove_dir_all(&scratch);
    outcome?;
    print!("{}", report.table());
    if let Some(path) = &options.json {
        let text =
            serde_json::to_string_pretty(&report.json()).map_err(|error| error.to_string())?;
        std::fs::write(path, text).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(())
}

fn parse(args: &[String]) -> Result<Options, String> {
    let mut options = Options { rounds: 5, json: None, only: None, memory_keys: 5_000_000 };
    let mut rest = args.iter();
    while let Some(name) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u32>().map_err(|_| format!("{name}: {value} is no number"));
        match name.as_str() {
            "--rounds" => options.rounds = number()?.max(1),
            "--memory-keys" => options.memory_keys = number()?,
            "--only" => options.only = Some(value.clone()),
            "--json" => options.json = Some(value.clone()),
            _ => return Err(format!("unknown option {name}")),
        }
    }
    Ok(options)
}

fn compare(
    options: &Options,
    binary: &Path,
    scratch: &Path,
    report: &mut Report,
) -> Result<(), String> {
    let wanted = |case: &&Case| {
        options.only.as_ref().is_none_or(|part| {
            format!("{}-c{}-p{}", case.test, case.clients, case.pipeline).contains(part)
        })
    };
    let cases: Vec<Case> = CASES.iter().filter(wanted).copied().collect();
    let mut systems = System::start_all(binary, scratch)?;
    for system in &mut systems {
        eprintln!("loading {}", system.name);
        drive::load(system.target(), 1_000_000, 64)?;
    }
    for round in 1..=options.rounds {
        for &case in &cases {
            for system in &mut systems {
                let before = system.cpu_seconds()?;
                let run = drive::benchmark(system.target(), case)?;
                let cpu_us = (system.cpu_seconds()? - before) * 1e6 / f64::from(case.requests);
                report.add(system.name, case, Measured { run, cpu_us });
            }
        }
        eprintln!("round {round} of {} done", options.rounds);
    }
    Ok(())
}
