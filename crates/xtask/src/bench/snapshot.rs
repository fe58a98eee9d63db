//! `cargo xtask bench snapshot`: what a snapshot costs while clients write, and how long a start
//! from it takes, Quorate beside `redis-server`.
//!
//! Each system is loaded with the same keys, then 50 connections overwrite them. The same load is
//! looked at before and during `BGSAVE`. Redis forks: what its child copies is what it reports
//! itself (`rdb_last_cow_size`); for Quorate it is the growth of resident memory at its peak.

use super::probe::{Probe, Request, Window, window};
use super::systems::{self, System};
use super::{drive, drive::command, gaps, report::median};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Connections of the load.
const CLIENTS: u32 = 50;
/// For so long the load runs before the snapshot begins; the first second does not count.
const WARM_UP: Duration = Duration::from_secs(1);
const WITHOUT: Duration = Duration::from_secs(4);
/// How often the server is asked whether its snapshot is done.
const POLL: Duration = Duration::from_millis(20);
/// Bytes of each value.
const VALUE_BYTES: usize = 16;

/// One system in one round.
struct Measured {
    without: Window,
    during: Window,
    seconds: f64,
    /// Memory added at the peak, as part of what was resident.
    added: f64,
    /// From exec to the first answered read.
    start_s: f64,
}

/// `args`: `--keys N` (default 5,000,000), `--rounds N` (default 3), `--tag yes` (all keys in one
/// hash slot), `--only NAME` (systems whose name begins so).
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), String> {
    let (mut keys, mut rounds, mut prefix, mut only) = (5_000_000, 3, "", "");
    for pair in args.chunks(2) {
        let number = || pair.get(1).and_then(|text| text.parse::<u32>().ok());
        match (pair.first().map(String::as_str), number()) {
            (Some("--keys"), Some(given)) => keys = given.max(1),
            (Some("--rounds"), Some(given)) => rounds = given.max(1),
            (Some("--tag"), None) if pair.get(1).is_some_and(|word| word == "yes") => {
                prefix = "{tag}";
            }
            (Some("--only"), None) => only = pair.get(1).map_or("", String::as_str),
            _ => return Err(format!("not understood: {}", pair.join(" "))),
        }
    }
    let binary = systems::build(root)?;
    let scratch = std::env::temp_dir().join(format!("quorate-snapshot-{}", std::process::id()));
    let outcome = compare(&binary, &scratch, only, (keys, prefix), rounds);
    let _ = std::fs::remove_dir_all(&scratch);
    outcome
}

type Make = fn(&Path, &Path) -> Result<System, String>;

const SYSTEMS: &[(&str, Make)] = &[
    ("quorate-1", |binary, dir| System::quorate("quorate-1", binary, dir, 1)),
    ("quorate-3", |binary, dir| System::quorate("quorate-3", binary, dir, 3)),
    // One node whose waits are its own, and not its disk's.
    ("unsynced-1", |binary, dir| {
        System::quorate_with("unsynced-1", binary, dir, 1, &["--unsafe-no-fsync", "yes"])
    }),
    ("redis-always", |_, dir| System::redis("redis-always", dir, true)),
    ("redis-none", |_, dir| System::redis("redis-none", dir, false)),
];

fn compare(
    binary: &Path,
    scratch: &Path,
    only: &str,
    keys: (u32, &'static str),
    rounds: u32,
) -> Result<(), String> {
    gaps::print();
    println!(
        "{:<13} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7} {:>8} {:>8}   each round's max ms*",
        "system",
        "SET/s",
        "p99 ms",
        "max ms",
        "p99 ms*",
        "max ms*",
        "p99 x",
        "save s",
        "memory +",
        "start s"
    );
    for (name, make) in SYSTEMS.iter().filter(|(name, _)| name.starts_with(only)) {
        let mut all = Vec::new();
        for _ in 0..rounds {
            let dir = scratch.join(name);
            all.push(measure(&mut make(binary, &dir)?, keys)?);
            std::fs::remove_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        }
        print_row(name, &all);
    }
    println!("* while the snapshot is made; medians of {rounds} rounds; {} keys", keys.0);
    gaps::print();
    Ok(())
}

fn print_row(name: &str, all: &[Measured]) {
    let of = |pick: fn(&Measured) -> f64| median(all.iter().map(pick).collect());
    println!(
        "{name:<13} {:>9.0} {:>8.3} {:>8.2} {:>8.3} {:>8.2} {:>8.2} {:>7.2} {:>7.1}% {:>8.2}   {}",
        of(|m| m.without.per_second),
        of(|m| m.without.p99_ms),
        of(|m| m.without.max_ms),
        of(|m| m.during.p99_ms),
        of(|m| m.during.max_ms),
        of(|m| m.during.p99_ms / m.without.p99_ms),
        of(|m| m.seconds),
        of(|m| m.added * 100.0),
        of(|m| m.start_s),
        // A wait that is the system's own is there in every round.
        all.iter().map(|m| format!("{:.1}", m.during.max_ms)).collect::<Vec<_>>().join(" "),
    );
}

fn measure(system: &mut System, (keys, prefix): (u32, &'static str)) -> Result<Measured, String> {
    let port = system.target();
    drive::load_keys(port, (keys, prefix), VALUE_BYTES)?;
    // What the load itself started is over.
    save(system, port)?;
    let resident = system.resident_bytes()?.iter().sum::<u64>();
    let overwrite: Arc<Request> = Arc::new(move |random, out| {
        let key = format!("{prefix}key:{:012}", random % u64::from(keys));
        command(out, &["SET".into(), key, "y".repeat(VALUE_BYTES)]);
    });
    let probe = Probe::start(port, CLIENTS, &overwrite);
    pause(WARM_UP);
    let begin = Instant::now();
    pause(WITHOUT);
    let middle = Instant::now();
    let peak = save(system, port)?;
    let end = Instant::now();
    let samples = probe.finish()?;
    let cow = drive::info(port, "rdb_last_cow_size").and_then(|text| text.parse::<u64>().ok());
    let added = match cow.filter(|_| system.is_redis()) {
        Some(copied) => copied,
        None => peak.saturating_sub(resident),
    };
    save(system, port)?;
    let start_s = system.restart(port)?.as_secs_f64();
    Ok(Measured {
        without: window(&samples, begin, middle),
        during: window(&samples, middle, end),
        seconds: (end - middle).as_secs_f64(),
        added: added as f64 / resident as f64,
        start_s,
    })
}

/// BGSAVE, to its end; the most memory that was resident meanwhile.
pub(super) fn save(system: &System, port: u16) -> Result<u64, String> {
    let said = drive::call(port, b"*1\r\n$6\r\nBGSAVE\r\n")?;
    if !said.starts_with('+') {
        return Err(format!("{}: BGSAVE: {said}", system.name));
    }
    let mut peak = 0;
    loop {
        peak = peak.max(system.resident_bytes()?.iter().sum());
        if drive::info(port, "rdb_bgsave_in_progress").as_deref() == Some("0") {
            return match drive::info(port, "rdb_last_bgsave_status").as_deref() {
                Some("ok") => Ok(peak),
                other => Err(format!("{}: the snapshot failed: {other:?}", system.name)),
            };
        }
        pause(POLL);
    }
}

pub(super) fn pause(length: Duration) {
    #[allow(clippy::disallowed_methods, reason = "a bench lets time pass")]
    std::thread::sleep(length);
}
