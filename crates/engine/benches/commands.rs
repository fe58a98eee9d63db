//! The engine alone on the commands that `cargo xtask bench types` sends through sockets:
//! `cargo bench -p quorate-engine` (behind `--`, a part of a command's name).
//!
//! A round is what a busy leader does with one entry: fifty sessions with sixteen commands each are
//! sealed, applied and answered (LRANGE is read and answered). Criterion judges the rounds; the
//! table at the end is for people, in nanoseconds per command. Nothing here asserts.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    reason = "a measurement: it brings the clock, the engine sees an entry's stamp alone"
)]

use bytes::BytesMut;
use criterion::{Criterion, Throughput};
use quorate_engine::{
    Applied, Db, Keyspace, Reader, Run, RunKind, SealLimits, Stamp, apply, read, seal,
};
use quorate_resp::{Limits, Parsed, Parser, Proto, write_command};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs of a batch, and commands of a run.
const RUNS: u32 = 50;
const PIPELINE: u32 = 16;
/// Commands of a round.
const ROUND: u32 = RUNS * PIPELINE;
/// Members, fields, keys and filled elements are so many different ones.
const NUMBERS: u32 = 100_000;
/// What grows without end starts over behind so many elements.
const GROWN_MAX: u32 = 400_000;

/// Writes one command; the number makes members and keys different.
type Write = fn(u32, &mut BytesMut);

/// A command to be measured.
struct Subject {
    name: &'static str,
    write: Write,
    /// What was put there before, once for each number.
    filler: Option<Write>,
    /// Whether it takes out what was filled in.
    pops: bool,
}

const fn adds(name: &'static str, write: Write) -> Subject {
    Subject { name, write, filler: None, pops: false }
}

const fn pops(name: &'static str, write: Write, filler: Write) -> Subject {
    Subject { name, write, filler: Some(filler), pops: true }
}

const fn reads(name: &'static str, write: Write, filler: Write) -> Subject {
    Subject { name, write, filler: Some(filler), pops: false }
}

const SUBJECTS: &[Subject] = &[
    adds("LPUSH", lpush),
    adds("RPUSH", |_, out| words(out, &["RPUSH", "mylist", "xxx"])),
    pops("LPOP", |_, out| words(out, &["LPOP", "mylist"]), lpush),
    adds("SADD", sadd),
    adds("HSET", |number, out| words(out, &["HSET", "myhash", &element(number), "xxx"])),
    pops("SPOP", |_, out| words(out, &["SPOP", "myset"]), sadd),
    adds("ZADD", zadd),
    pops("ZPOPMIN", |_, out| words(out, &["ZPOPMIN", "myzset"]), zadd),
    reads("LRANGE_100", |_, out| words(out, &["LRANGE", "mylist", "0", "99"]), lpush),
    reads("LRANGE_600", |_, out| words(out, &["LRANGE", "mylist", "0", "599"]), lpush),
    adds("MSET", mset),
    adds("XADD", |_, out| words(out, &["XADD", "mystream", "*", "myfield", "__data__"])),
];

fn words(out: &mut BytesMut, words: &[&str]) {
    write_command(out, words.iter().map(|word| word.as_bytes()));
}

fn element(number: u32) -> String {
    format!("element:{number:012}")
}

fn lpush(_: u32, out: &mut BytesMut) {
    words(out, &["LPUSH", "mylist", "xxx"]);
}

fn sadd(number: u32, out: &mut BytesMut) {
    words(out, &["SADD", "myset", &element(number)]);
}

fn zadd(number: u32, out: &mut BytesMut) {
    words(out, &["ZADD", "myzset", "0", &element(number)]);
}

/// Ten keys.
fn mset(number: u32, out: &mut BytesMut) {
    let key = |part: u32| format!("key:{:012}", number.wrapping_mul(7 + part) % NUMBERS);
    let pairs: Vec<String> = (0..10).flat_map(|part| [key(part), "xxx".to_owned()]).collect();
    let all = std::iter::once("MSET").chain(pairs.iter().map(String::as_str));
    words(out, &all.collect::<Vec<_>>());
}

/// A keyspace at work.
struct Bench {
    subject: &'static Subject,
    keyspace: Keyspace,
    index: u64,
    random: u64,
    /// Commands since it was filled.
    done: u32,
}

/// Time that sealing a round took, and applying it.
type Spent = [Duration; 2];

impl Bench {
    fn new(subject: &'static Subject) -> Self {
        let mut bench =
            Self { subject, keyspace: Keyspace::new([1, 2]), index: 0, random: 1, done: 0 };
        bench.start_over();
        bench
    }

    fn start_over(&mut self) {
        self.keyspace = Keyspace::new([1, 2]);
        self.done = 0;
        let Some(filler) = self.subject.filler else { return };
        for first in (0..NUMBERS).step_by(ROUND as usize) {
            // An odd factor permutes the numbers: they come in no order.
            let runs = batch(filler, |number| (first + number).wrapping_mul(77_777) % NUMBERS);
            self.write(&runs);
        }
    }

    /// One round, behind what has to be prepared for it.
    fn round(&mut self) -> Spent {
        let emptied = self.subject.pops && self.done + ROUND > NUMBERS;
        if emptied || self.subject.filler.is_none() && self.done >= GROWN_MAX {
            self.start_over();
        }
        self.done += ROUND;
        let random = &mut self.random;
        let runs = batch(self.subject.write, |_| {
            *random ^= *random << 13;
            *random ^= *random >> 7;
            *random ^= *random << 17;
            (*random >> 32) as u32 % NUMBERS
        });
        if self.subject.name.starts_with("LRANGE") { self.read(&runs) } else { self.write(&runs) }
    }

    fn write(&mut self, runs: &[Run]) -> Spent {
        self.index += 1;
        let stamp = Stamp { now_ms: 1_700_000_000_000 + self.index, seed: self.index };
        let start = Instant::now();
        let sealed = seal(&self.keyspace, runs, &stamp, &SealLimits::default());
        let between = Instant::now();
        let at = Applied { index: self.index, stamp };
        let outcome = apply(&mut self.keyspace, at, &sealed.payload, Some(&sealed.plan));
        let spent = [between - start, between.elapsed()];
        drop(black_box(outcome));
        spent
    }

    fn read(&self, runs: &[Run]) -> Spent {
        let reader = Reader { keyspace: &self.keyspace, db: Db(0), seed: 0, clock_ms: 0 };
        let (mut parser, mut out) = (Parser::default(), BytesMut::new());
        let start = Instant::now();
        for run in runs {
            // A session's output is its own.
            out.clear();
            let mut rest = &run.commands[..];
            while let Ok(Parsed::Command { len, .. }) = parser.parse(rest, &Limits::stored()) {
                read(&reader, parser.args(rest), run.proto, &mut out);
                rest = rest.get(len..).unwrap_or_default();
            }
            black_box(&out);
        }
        [Duration::ZERO, start.elapsed()]
    }
}

fn batch(write: Write, mut number: impl FnMut(u32) -> u32) -> Vec<Run> {
    let run = |run: u32| {
        let mut commands = BytesMut::new();
        (0..PIPELINE).for_each(|at| write(number(run * PIPELINE + at), &mut commands));
        Run {
            db: Db(0),
            proto: Proto::Resp2,
            commands: commands.freeze(),
            count: PIPELINE,
            kind: RunKind::Commands,
        }
    };
    (0..RUNS).map(run).collect()
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut table = Vec::new();
    for subject in SUBJECTS {
        let mut samples: Vec<[f64; 2]> = Vec::new();
        let mut group = criterion.benchmark_group("commands");
        group.throughput(Throughput::Elements(u64::from(ROUND)));
        group.bench_function(subject.name, |bencher| {
            let mut bench = Bench::new(subject);
            bencher.iter_custom(|rounds| {
                let mut sum = [Duration::ZERO; 2];
                for _ in 0..rounds {
                    let spent = bench.round();
                    sum = [sum[0] + spent[0], sum[1] + spent[1]];
                }
                let commands = rounds as f64 * f64::from(ROUND);
                samples.push(sum.map(|time| time.as_secs_f64() * 1e9 / commands));
                sum[0] + sum[1]
            });
        });
        group.finish();
        if !samples.is_empty() {
            table.push((subject.name, [0, 1].map(|part| median(&samples, part))));
        }
    }
    criterion.final_summary();
    println!("\n{:<12} {:>9} {:>9} {:>9} {:>12}", "command", "seal ns", "apply ns", "ns", "1/s");
    for (name, [seal, apply]) in table {
        let both = seal + apply;
        println!("{name:<12} {seal:>9.0} {apply:>9.0} {both:>9.0} {:>12.0}", 1e9 / both);
    }
}

fn median(samples: &[[f64; 2]], part: usize) -> f64 {
    let mut values: Vec<f64> =
        samples.iter().filter_map(|sample| sample.get(part).copied()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
