//! What is longer than the gate may be: run before a release and overnight, with new seeds each
//! time.
//!
//! The first seed is the time of the start, and is printed; `--seed N` repeats a run.
//! Every step prints what would repeat its failure alone.

use crate::shell::{Outcome, Shell};
use crate::{built, damage, diff, steps, suites};
use std::time::{SystemTime, UNIX_EPOCH};

const USAGE: &str = "usage: cargo xtask long [--seed N] [STEP…]";

/// Runs all steps, or those that are named.
pub(crate) fn run(shell: &Shell, args: &[String]) -> Outcome {
    let mut seed = None;
    let mut names = Vec::new();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seed" => seed = words.next().and_then(|number| number.parse().ok()),
            option if option.starts_with('-') => return Err(USAGE.to_owned()),
            name => names.push(name.to_owned()),
        }
    }
    let seed: u64 = match seed {
        Some(seed) => seed,
        None if args.iter().any(|word| word == "--seed") => return Err(USAGE.to_owned()),
        None => now_s(),
    };
    println!("long: again with the same seeds: cargo xtask long --seed {seed}");
    let simulation = |shell: &Shell| simulate(shell, seed);
    let redis = |shell: &Shell| compare(shell, seed, &[]);
    let restored = |shell: &Shell| compare(shell, seed, &["--restored"]);
    let damage = |shell: &Shell| damage::run(shell, &["--full".to_owned()]);
    steps::run(
        shell,
        "long",
        &names,
        &[
            ("sim", &simulation),
            ("diff", &redis),
            ("restored", &restored),
            ("damage", &damage),
            ("suites", &clients),
        ],
    )
}

/// The clients' own suites against the binary that the gate uses.
fn clients(shell: &Shell) -> Outcome {
    built::binaries(shell)?;
    suites::run(shell, Some(&built::folder(shell).join("quorate")), &[])
}

#[allow(clippy::disallowed_methods, reason = "new seeds each time; they are printed")]
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs())
}

/// Two thousand seeds of three replicas.
fn simulate(shell: &Shell, seed: u64) -> Outcome {
    built::binaries(shell)?;
    let simulation = built::folder(shell).join("examples/sim");
    let seed = seed.to_string();
    shell.run(&simulation.to_string_lossy(), &["--seed", &seed, "--count", "2000"])
}

/// A million commands of each family, against Redis or against an engine restored from a snapshot.
fn compare(shell: &Shell, seed: u64, options: &[&str]) -> Outcome {
    let seed = seed.to_string();
    let words = [options, &["--seed", &seed, "--commands", "1000000"]].concat();
    diff::run(shell, &words.into_iter().map(str::to_owned).collect::<Vec<_>>())
}
