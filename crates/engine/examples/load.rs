//! How fast a snapshot loads, engine alone:
//! `cargo run --release -p quorate-engine --example load -- dump.rdb`.
//!
//! Reads any RDB file from memory, then writes the state as a snapshot of ours and reads that. To
//! be set beside the `DB loaded from disk` of a redis-server that starts on the same file.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "a measurement: it brings the file and the clock, the engine sees bytes alone"
)]

use quorate_engine::{Db, Keyspace, SnapshotFacts};
use std::error::Error;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let theirs = std::fs::read(path)?;
    let keyspace = timed("file", &theirs)?;
    let mut ours = Vec::new();
    let start = Instant::now();
    let facts = SnapshotFacts::default();
    keyspace.write_snapshot(&facts, &mut |piece| ours.extend_from_slice(piece));
    println!("written: {:.2} s", start.elapsed().as_secs_f64());
    drop(keyspace);
    timed("snapshot", &ours)?;
    Ok(())
}

fn timed(what: &str, file: &[u8]) -> Result<Keyspace, Box<dyn Error>> {
    let (start, cpu) = (Instant::now(), cpu_seconds()?);
    let (keyspace, _) = Keyspace::read_snapshot(file)?;
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let keys: u64 = Db::all().map(|db| keyspace.stats(db).0).sum();
    let mib = file.len() >> 20;
    println!("{what}: {keys} keys, {mib} MiB in {seconds:.2} s ({cpu:.2} s of CPU)");
    Ok(keyspace)
}

/// Time that this thread ran: what counts on a machine that others use too.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = stat.split(' ').next().unwrap_or_default().parse()?;
    Ok(nanoseconds / 1e9)
}
