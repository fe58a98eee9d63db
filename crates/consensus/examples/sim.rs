//! Runs the simulation:
//! `cargo run -p quorate-consensus --features sim --example sim -- --seed 1 --count 200`.
//!
//! `--loud` prints what happens as it happens; `--leader-restore` and `--skip-vote-sync` plant a
//! fault that must be found. Seeds are spread over the machine's cores. Ends with 1 after a
//! violation, having printed its trace and the seed that repeats it.

use quorate_consensus::sim::{Faults, Report, Violation, run, run_loud};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| args.iter().any(|arg| arg == name);
    let value = |name: &str, default: u64| {
        let at = args.iter().position(|arg| arg == name);
        let given = at.and_then(|at| args.get(at + 1));
        given.and_then(|text| u64::from_str(text).ok()).unwrap_or(default)
    };
    if let Ok(filter) = std::env::var("SIM_LOG") {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let faults = Faults {
        leader_restore: has("--leader-restore"),
        skip_vote_sync: has("--skip-vote-sync"),
        ..Faults::default()
    };
    let (first, count, loud) = (value("--seed", 0), value("--count", 1), has("--loud"));
    let play = if loud { run_loud } else { run };
    let (sum, found) = spread(first, count, &|seed| play(seed, faults));
    if let Some(violation) = found {
        if !loud {
            eprintln!("{}", violation.trace.join("\n"));
        }
        eprintln!("seed {}: {}", violation.seed, violation.what);
        return ExitCode::FAILURE;
    }
    let (writes, reads, uncertain) = sum.operations;
    let (sent, went_on) = sum.snapshots;
    eprintln!(
        "{count} seeds from {first}: no violation in {writes} writes and {reads} reads; \
         {uncertain} answers uncertain, {} crashes, {} terms, \
         {sent} snapshots sent, {went_on} of them where another broke",
        sum.crashes, sum.terms
    );
    ExitCode::SUCCESS
}

/// Runs seeds on all cores until one is violated; the least violated seed counts.
fn spread(
    first: u64,
    count: u64,
    play: &(dyn Fn(u64) -> Result<Report, Violation> + Sync),
) -> (Report, Option<Violation>) {
    let next = AtomicU64::new(first);
    let end = AtomicU64::new(first + count);
    let sum = Mutex::new((Report::default(), None::<Violation>));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end.load(Ordering::Relaxed) {
                return;
            }
            let outcome = play(seed);
            let Ok(mut sum) = sum.lock() else { return };
            match outcome {
                Ok(report) => {
                    sum.0.operations.0 += report.operations.0;
                    sum.0.operations.1 += report.operations.1;
                    sum.0.operations.2 += report.operations.2;
                    sum.0.crashes += report.crashes;
                    sum.0.snapshots.0 += report.snapshots.0;
                    sum.0.snapshots.1 += report.snapshots.1;
                    sum.0.terms += report.terms;
                }
                Err(violation) => {
                    end.fetch_min(seed, Ordering::Relaxed);
                    if sum.1.as_ref().is_none_or(|known| seed < known.seed) {
                        sum.1 = Some(violation);
                    }
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    sum.into_inner().unwrap_or_default()
}
