//! `cargo xtask bench types`: collections beside `redis-server`, in speed and in memory.
//!
//! Speed: `redis-benchmark`'s own tests, 16 commands a pipeline, one Quorate node that never syncs
//! beside a Redis that keeps nothing; what a pop takes was put there before. Memory: growth of
//! resident memory while one shape of data is loaded into a fresh process. A node keeps the newest
//! 64 MiB of its log in memory, whatever the data is: that cache is filled first, by overwriting
//! one key (in Redis too), so that the growth is the data's.

use super::drive::{self, Run, command};
use super::report::median;
use super::systems::{self, System};
use std::path::Path;

/// Commands per pipeline.
const PIPELINE: u32 = 16;
/// Connections.
const CLIENTS: u32 = 50;
/// Members, fields and elements are drawn from so many.
const RANDOM: &str = "100000";

/// A test of `redis-benchmark`, and the one that fills what it empties.
const TESTS: &[(&str, Option<&str>)] = &[
    ("lpush", None),
    ("rpush", None),
    ("lpop", Some("lpush")),
    ("sadd", None),
    ("hset", None),
    ("spop", Some("sadd")),
    ("zadd", None),
    ("zpopmin", Some("zadd")),
    ("lrange_100", Some("lpush")),
    ("lrange_600", Some("lpush")),
    ("mset", None),
    ("xadd", None),
];

/// What the command line asks for.
struct Options {
    rounds: u32,
    requests: u32,
    only: String,
    speed: bool,
    memory: bool,
}

/// `args`: `--rounds N` (default 3), `--requests N` of a test (default 400,000), `--only NAME` (how
/// a test's or shape's name begins), `--part speed` or `--part memory` (default both).
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), String> {
    let options = parse(args)?;
    let binary = systems::build(root)?;
    let scratch = std::env::temp_dir().join(format!("quorate-types-{}", std::process::id()));
    let speed = if options.speed { compare_speed(&options, &binary, &scratch) } else { Ok(()) };
    let outcome = speed.and_then(|()| {
        if options.memory { compare_memory(&options, &binary, &scratch) } else { Ok(()) }
    });
    let _ = std::fs::remove_dir_all(&scratch);
    outcome
}

fn parse(args: &[String]) -> Result<Options, String> {
    let mut options =
        Options { rounds: 3, requests: 400_000, only: String::new(), speed: true, memory: true };
    for pair in args.chunks(2) {
        let [name, value] = pair else { return Err(format!("{} needs a value", pair.join(" "))) };
        let number = || value.parse::<u32>().map_err(|_| format!("{name}: {value} is no number"));
        match (name.as_str(), value.as_str()) {
            ("--rounds", _) => options.rounds = number()?.max(1),
            ("--requests", _) => options.requests = number()?.max(1),
            ("--only", part) => part.clone_into(&mut options.only),
            ("--part", "speed") => options.memory = false,
            ("--part", "memory") => options.speed = false,
            _ => return Err(format!("not understood: {name} {value}")),
        }
    }
    Ok(options)
}

fn start(binary: &Path, scratch: &Path) -> Result<[System; 2], String> {
    let never = &["--unsafe-no-fsync", "yes"][..];
    Ok([
        System::quorate_with("quorate-1", binary, &scratch.join("one"), 1, never)?,
        System::redis("redis-none", &scratch.join("none"), false)?,
    ])
}

fn compare_speed(options: &Options, binary: &Path, scratch: &Path) -> Result<(), String> {
    let systems = start(binary, &scratch.join("speed"))?;
    println!(
        "{:<11} {:>11} {:>11} {:>7} {:>9} {:>9}",
        "test", "quorate/s", "redis/s", "ratio", "cpu us", "cpu us"
    );
    for &(test, filler) in TESTS.iter().filter(|(test, _)| test.starts_with(&options.only)) {
        // LRANGE is an order of magnitude more work.
        let requests =
            if test.starts_with("lrange") { options.requests / 10 } else { options.requests };
        let mut runs = [Vec::new(), Vec::new()];
        for _ in 0..options.rounds {
            for (system, runs) in systems.iter().zip(&mut runs) {
                let port = system.target();
                drive::call(port, b"*1\r\n$8\r\nFLUSHALL\r\n")?;
                if let Some(filler) = filler {
                    benchmark(port, filler, requests)?;
                }
                let before = system.cpu_seconds()?;
                let run = benchmark(port, test, requests)?;
                let cpu_us = (system.cpu_seconds()? - before) * 1e6 / f64::from(requests);
                runs.push((run.per_second, cpu_us));
            }
        }
        let of = |at: usize, pick: fn(&(f64, f64)) -> f64| {
            median(runs.get(at).into_iter().flatten().map(pick).collect())
        };
        let [ours, theirs] = &runs;
        let ratio = median(ours.iter().zip(theirs).map(|(a, b)| a.0 / b.0).collect());
        println!(
            "{test:<11} {:>11.0} {:>11.0} {ratio:>7.2} {:>9.2} {:>9.2}",
            of(0, |run| run.0),
            of(1, |run| run.0),
            of(0, |run| run.1),
            of(1, |run| run.1),
        );
    }
    Ok(())
}

fn benchmark(port: u16, test: &str, requests: u32) -> Result<Run, String> {
    let numbers = [CLIENTS, PIPELINE, requests].map(|number| number.to_string());
    let [clients, pipeline, requests] = &numbers;
    let mut args = vec!["-r", RANDOM, "-c", clients, "-P", pipeline, "-n", requests];
    match test {
        // It has no test of its own.
        "xadd" => args.extend(["XADD", "mystream", "*", "myfield", "__data__"]),
        _ => args.extend(["-t", test]),
    }
    drive::benchmark_with(port, &args)
}

/// A shape of data: its name, how many items, and the command that adds one.
type Shape = (&'static str, u32, fn(u32, &mut Vec<u8>));

const SHAPES: &[Shape] = &[
    ("hashes-5", 1_000_000, |number, out| {
        let key = format!("hash:{number:09}");
        let mut words = vec!["HSET".to_owned(), key];
        for field in 0..5 {
            words.push(format!("field{field}"));
            words.push(format!("value{}", (number + field) % 1000));
        }
        command(out, &words);
    }),
    ("zset", 1_000_000, |number, out| {
        let score = scatter(number).to_string();
        command(out, &["ZADD".into(), "zset".into(), score, format!("member:{number:012}")]);
    }),
    ("list", 5_000_000, |number, out| {
        command(out, &["RPUSH".into(), "list".into(), format!("item:{number:011}")]);
    }),
    ("set", 1_000_000, |number, out| {
        command(out, &["SADD".into(), "set".into(), format!("member:{:012}", scatter(number))]);
    }),
    ("stream", 1_000_000, |number, out| {
        let id = format!("{}-{}", 1_700_000_000_000_u64 + u64::from(number / 3), number % 3);
        let value = format!("value:{number:010}");
        command(out, &["XADD".into(), "stream".into(), id, "field".into(), value]);
    }),
];

/// Different numbers in no order (an odd factor permutes 32 bits).
fn scatter(number: u32) -> u32 {
    number.wrapping_mul(2_654_435_761)
}

/// Overwrites one key with more than the log cache holds.
fn fill_log_cache(port: u16) -> Result<(), String> {
    /// Some 140 bytes each in the log: 80 MiB.
    const WRITES: u32 = 600_000;
    drive::pipeline(port, WRITES, 1, |number, out| {
        command(out, &["SET".into(), "filler".into(), format!("{number:0100}")]);
    })
}

fn compare_memory(options: &Options, binary: &Path, scratch: &Path) -> Result<(), String> {
    println!("growth of resident memory per item, the log cache of 64 MiB being full before");
    println!("{:<11} {:>9} {:>12} {:>12} {:>7}", "shape", "items", "quorate B", "redis B", "ratio");
    for &(name, items, add) in SHAPES.iter().filter(|(name, ..)| name.starts_with(&options.only)) {
        let dir = scratch.join("memory");
        let systems = start(binary, &dir)?;
        let mut grown = Vec::new();
        for system in &systems {
            let resident = || Ok::<u64, String>(system.resident_bytes()?.iter().sum());
            fill_log_cache(system.target())?;
            let before = resident()?;
            let lines = if name == "stream" { 2 } else { 1 };
            drive::pipeline(system.target(), items, lines, add)?;
            grown.push(resident()?.saturating_sub(before) as f64 / f64::from(items));
        }
        drop(systems);
        let _ = std::fs::remove_dir_all(&dir);
        if let [ours, theirs] = grown[..] {
            println!("{name:<11} {items:>9} {ours:>12.1} {theirs:>12.1} {:>7.2}", ours / theirs);
        }
    }
    Ok(())
}
