//! What `cargo xtask damage` runs: trials of damaged data directories, and a table of outcomes.

use quorate_tests::cluster::Scratch;
use quorate_tests::damage::run::{Plan, run};
use quorate_tests::damage::table::{Outcome, report};
use quorate_tests::damage::{Extent, Mode};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask damage [--full] [--seed N] [--mode alone|purged|member]
                          [--only CASE] [--prepared DIR]

Runs a sample, or with --full everything. CASE is a case's name as a failure shows it, or a part of
names (`--only facts/`); it looks among all cases. With --prepared the directories that cases are
made from are kept in DIR, or taken from there: what random ids and clocks have put into them is
then the same again. There the first failures' directories and logs stay, too.";

/// What the command line asks for.
struct Wanted {
    full: bool,
    seed: u64,
    modes: Vec<Mode>,
    only: Option<String>,
    prepared: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Some(wanted) = wanted() else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let scratch = Scratch::new("damage");
    let root = wanted.prepared.clone().unwrap_or_else(|| scratch.path().to_owned());
    let outcomes: Vec<Outcome> =
        wanted.modes.iter().flat_map(|&mode| run(&plan(&wanted, mode), &root)).collect();
    println!("{}", report(&outcomes));
    let failed = outcomes.iter().any(|one| one.verdict.is_failure());
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn plan(wanted: &Wanted, mode: Mode) -> Plan {
    let extent = match mode {
        _ if wanted.full || wanted.only.is_some() => Extent::FULL,
        Mode::Alone => Extent::SAMPLE,
        Mode::Purged | Mode::Member => Extent::FEW,
    };
    Plan { mode, extent, seed: wanted.seed, only: wanted.only.clone() }
}

fn wanted() -> Option<Wanted> {
    let mut wanted =
        Wanted { full: false, seed: 1, modes: Mode::ALL.to_vec(), only: None, prepared: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--full" => wanted.full = true,
            "--seed" => wanted.seed = words.next()?.parse().ok()?,
            "--mode" => {
                let name = words.next()?;
                wanted.modes.retain(|mode| mode.word() == name);
            }
            "--only" => wanted.only = Some(words.next()?),
            "--prepared" => wanted.prepared = Some(Path::new(&words.next()?).to_owned()),
            _ => return None,
        }
    }
    (!wanted.modes.is_empty()).then_some(wanted)
}
