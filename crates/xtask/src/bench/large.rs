//! `cargo xtask bench large`: how long anybody waits while one value of a million elements is
//! written to during a snapshot, and while it is freed, Quorate beside `redis-server`.
//!
//! One connection writes to the value and one sets a small key, one request at a time each; the
//! longest wait of either is what counts. Neither system syncs: a disk's own waits are longer than
//! those that are looked for (`bench snapshot` has the disk in it).

use super::drive::{self, command};
use super::gaps;
use super::probe::{Probe, Request, Window, window};
use super::report::median;
use super::snapshot::{pause, save};
use super::systems::{self, System};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For so long is written to a value before and while it is saved.
const WINDOW: Duration = Duration::from_secs(2);
/// For so long after the command that frees it; freeing goes on behind it, for some 20 ms here and
/// 300 ms in Redis. A longer window would only gather more of the machine's own waits.
const FREE_WINDOW: Duration = Duration::from_millis(500);

/// A value's name, the command that adds element `number`, and one that changes a random one of
/// `members`.
struct Value {
    name: &'static str,
    add: fn(u32, &mut Vec<u8>),
    change: fn(u64, u32, &mut Vec<u8>),
}

const VALUES: &[Value] = &[
    Value { name: "hash", add: hash, change: |at, members, out| hash(within(at, members), out) },
    Value { name: "list", add: list, change: set_in_list },
    Value { name: "set", add: set, change: |at, _, out| set(at as u32, out) },
    Value {
        name: "zset",
        add: |number, out| zset(number, number, out),
        change: |at, members, out| zset(within(at, members), (at >> 8) as u32, out),
    },
    Value { name: "stream", add: stream, change: |at, _, out| stream(at as u32, out) },
];

fn within(random: u64, members: u32) -> u32 {
    (random % u64::from(members)) as u32
}

fn hash(number: u32, out: &mut Vec<u8>) {
    let field = format!("field:{number:012}");
    command(out, &["HSET".into(), "large".into(), field, format!("value:{number:010}")]);
}

fn list(number: u32, out: &mut Vec<u8>) {
    command(out, &["RPUSH".into(), "large".into(), format!("item:{number:011}")]);
}

fn set_in_list(random: u64, members: u32, out: &mut Vec<u8>) {
    let at = within(random, members).to_string();
    command(out, &["LSET".into(), "large".into(), at, format!("item:{random:011}")]);
}

fn set(number: u32, out: &mut Vec<u8>) {
    command(out, &["SADD".into(), "large".into(), format!("member:{number:012}")]);
}

fn zset(number: u32, score: u32, out: &mut Vec<u8>) {
    let member = format!("member:{number:012}");
    command(out, &["ZADD".into(), "large".into(), score.to_string(), member]);
}

fn stream(number: u32, out: &mut Vec<u8>) {
    let value = format!("value:{number:010}");
    command(out, &["XADD", "large", "*", "field", &value].map(str::to_owned));
}

/// What the command line asks for.
struct Options {
    rounds: u32,
    members: u32,
    only: String,
}

/// `args`: `--rounds N` (default 3), `--members N` (default 1,000,000), `--only NAME` (how a
/// value's name begins).
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), String> {
    let mut options = Options { rounds: 3, members: 1_000_000, only: String::new() };
    for pair in args.chunks(2) {
        let number = || pair.get(1).and_then(|text| text.parse::<u32>().ok());
        match (pair.first().map(String::as_str), number()) {
            (Some("--rounds"), Some(given)) => options.rounds = given.max(1),
            (Some("--members"), Some(given)) => options.members = given.max(1),
            (Some("--only"), None) => options.only = pair.get(1).cloned().unwrap_or_default(),
            _ => return Err(format!("not understood: {}", pair.join(" "))),
        }
    }
    let binary = systems::build(root)?;
    let scratch = std::env::temp_dir().join(format!("quorate-large-{}", std::process::id()));
    let outcome = compare(&options, &binary, &scratch);
    let _ = std::fs::remove_dir_all(&scratch);
    outcome
}

/// The longest waits of one system in one round, in milliseconds.
struct Waits {
    without: f64,
    frozen: f64,
    freed: [f64; FREES.len()],
}

/// The ways to free the value, each sent alone.
const FREES: [(&str, &[&str]); 4] = [
    ("DEL", &["DEL", "large"]),
    ("UNLINK", &["UNLINK", "large"]),
    ("FLUSHALL", &["FLUSHALL"]),
    ("expiry", &["PEXPIRE", "large", "100"]),
];

fn compare(options: &Options, binary: &Path, scratch: &Path) -> Result<(), String> {
    print!("{:<8} {:<12} {:>9} {:>9}", "value", "system", "without", "snapshot");
    println!("{}", FREES.map(|(name, _)| format!(" {name:>9}")).concat());
    for value in VALUES.iter().filter(|value| value.name.starts_with(&options.only)) {
        let never = &["--unsafe-no-fsync", "yes"][..];
        let systems = [
            System::quorate_with("quorate-1", binary, &scratch.join("one"), 1, never)?,
            System::redis("redis-none", &scratch.join("none"), false)?,
        ];
        for system in &systems {
            let rounds = (0..options.rounds).map(|_| measure(system, value, options.members));
            let all = rounds.collect::<Result<Vec<Waits>, String>>()?;
            let of = |pick: &dyn Fn(&Waits) -> f64| median(all.iter().map(pick).collect());
            let (without, frozen) = (of(&|waits| waits.without), of(&|waits| waits.frozen));
            print!("{:<8} {:<12} {without:>9.2} {frozen:>9.2}", value.name, system.name);
            for at in 0..FREES.len() {
                print!(" {:>9.2}", of(&|waits| waits.freed.get(at).copied().unwrap_or(f64::NAN)));
            }
            println!();
        }
        drop(systems);
        let _ = std::fs::remove_dir_all(scratch);
    }
    println!(
        "longest waits in ms, medians of {} rounds; {} elements",
        options.rounds, options.members
    );
    gaps::print();
    Ok(())
}

fn measure(system: &System, value: &Value, members: u32) -> Result<Waits, String> {
    let port = system.target();
    let (add, change) = (value.add, value.change);
    let load = || {
        drive::call(port, b"*1\r\n$8\r\nFLUSHALL\r\n")?;
        let lines = if value.name == "stream" { 2 } else { 1 };
        drive::pipeline(port, members, lines, add)
    };
    load()?;
    let change: Arc<Request> = Arc::new(move |random, out| change(random, members, out));
    let small: Arc<Request> = Arc::new(|random, out| {
        command(out, &["SET".into(), format!("key:{}", random % 1_000), random.to_string()]);
    });
    let writers = [Probe::start(port, 1, &change), Probe::start(port, 1, &small)];
    pause(WINDOW / 4);
    let begin = Instant::now();
    pause(WINDOW);
    let middle = Instant::now();
    save(system, port)?;
    let end = Instant::now();
    let mut samples = Vec::new();
    for writer in writers {
        samples.extend(writer.finish()?);
    }
    let longest = |found: Window| found.max_ms;
    let mut waits = Waits {
        without: longest(window(&samples, begin, middle)),
        frozen: longest(window(&samples, middle, end)),
        freed: [f64::NAN; FREES.len()],
    };
    for ((_, words), waited) in FREES.iter().zip(&mut waits.freed) {
        load()?;
        *waited = free(port, words, &small)?;
    }
    Ok(waits)
}

/// Sends a command that frees the value, beside a connection that sets small keys; the longest wait
/// of both.
fn free(port: u16, words: &[&str], small: &Arc<Request>) -> Result<f64, String> {
    let mut request = Vec::new();
    command(&mut request, &words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
    let probe = Probe::start(port, 1, small);
    pause(WINDOW / 4);
    let begin = Instant::now();
    let said = drive::call(port, &request)?;
    let own_ms = begin.elapsed().as_secs_f64() * 1e3;
    if said.starts_with('-') {
        return Err(format!("{}: {said}", words.join(" ")));
    }
    pause(FREE_WINDOW);
    let end = Instant::now();
    Ok(own_ms.max(window(&probe.finish()?, begin, end).max_ms))
}
