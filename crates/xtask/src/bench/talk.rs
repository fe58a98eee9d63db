//! `cargo xtask bench talk`: what takes more than one command, beside a `redis-server` that syncs
//! always: a transaction of ten SETs, WATCH with EXEC, and BLPOP woken by RPUSH.
//!
//! Each connection has a thread and waits for its answers; what is told is rounds a second. A
//! Quorate of one node and one of three take turns with Redis.

use super::report::median;
use super::systems::{self, System};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// An answer that does not come for so long is lost.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// One round of a connection's work; its number makes keys its own.
type Round = fn(&mut Talk, &mut Talk, usize) -> Result<(), String>;

const CASES: [(&str, Round); 3] =
    [("MULTI of 10 SETs", multi), ("WATCH + EXEC", watch), ("RPUSH wakes BLPOP", wake)];

/// `args`: `--rounds N` (default 3), `--clients N` (default 50), `--seconds N` of a round (default
/// 3).
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), String> {
    let (mut rounds, mut clients, mut seconds) = (3, 50, 3);
    for pair in args.chunks(2) {
        let [name, value] = pair else { return Err(format!("{} needs a value", pair.join(" "))) };
        let number = value.parse().map_err(|_| format!("{name}: {value} is no number"))?;
        match name.as_str() {
            "--rounds" => rounds = number,
            "--clients" => clients = number,
            "--seconds" => seconds = number,
            _ => return Err(format!("not understood: {name} {value}")),
        }
    }
    let binary = systems::build(root)?;
    let scratch = std::env::temp_dir().join(format!("quorate-talk-{}", std::process::id()));
    let time = Duration::from_secs(seconds as u64);
    let outcome = compare(&binary, &scratch, (rounds, clients), time);
    let _ = std::fs::remove_dir_all(&scratch);
    outcome
}

fn compare(
    binary: &Path,
    scratch: &Path,
    (rounds, clients): (usize, usize),
    time: Duration,
) -> Result<(), String> {
    let systems = [
        System::quorate("quorate-1", binary, &scratch.join("one"), 1)?,
        System::quorate("quorate-3", binary, &scratch.join("three"), 3)?,
        System::redis("redis-always", &scratch.join("always"), true)?,
    ];
    println!(
        "{:<18} {:>11} {:>11} {:>11} {:>7} {:>7}",
        "", "quorate-1/s", "quorate-3/s", "redis/s", "ratio", "ratio"
    );
    for (name, round) in CASES {
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..rounds.max(1) {
            for (system, rates) in systems.iter().zip(&mut rates) {
                rates.push(drive(system.target(), clients, time, round)?);
            }
        }
        let [one, three, redis] = rates.map(median);
        let (first, second) = (one / redis, three / redis);
        println!("{name:<18} {one:>11.0} {three:>11.0} {redis:>11.0} {first:>7.2} {second:>7.2}");
    }
    Ok(())
}

/// Rounds a second of so many connections.
fn drive(port: u16, clients: usize, time: Duration, round: Round) -> Result<f64, String> {
    let until = Instant::now() + time;
    let work = move |client: usize| {
        let (mut talk, mut other) = (Talk::to(port)?, Talk::to(port)?);
        let mut done = 0_usize;
        while Instant::now() < until {
            round(&mut talk, &mut other, client)?;
            done += 1;
        }
        Ok::<_, String>(done)
    };
    let threads: Vec<_> =
        (0..clients).map(|client| std::thread::spawn(move || work(client))).collect();
    let mut done = 0;
    for thread in threads {
        done += thread.join().map_err(|_| "a client's thread panicked")??;
    }
    Ok(done as f64 / time.as_secs_f64())
}

fn multi(talk: &mut Talk, _: &mut Talk, client: usize) -> Result<(), String> {
    let sets = (0..10).map(|key| format!("SET talk:{client}:{key} xxxxxxxx\r\n"));
    let sets: Vec<String> = sets.collect();
    talk.say(&format!("MULTI\r\n{}EXEC\r\n", sets.concat()))?;
    // OK, ten times QUEUED, and ten times OK behind their count.
    talk.lines(22).map(drop)
}

fn watch(talk: &mut Talk, _: &mut Talk, client: usize) -> Result<(), String> {
    talk.say(&format!("WATCH talk:{client}\r\nSTRLEN talk:{client}\r\n"))?;
    talk.lines(2)?;
    talk.say(&format!("MULTI\r\nSET talk:{client} xxxxxxxx\r\nEXEC\r\n"))?;
    talk.lines(4).map(drop)
}

/// From BLPOP to its element, which is pushed when it has been sent.
fn wake(talk: &mut Talk, other: &mut Talk, client: usize) -> Result<(), String> {
    talk.say(&format!("BLPOP talk:queue:{client} 0\r\n"))?;
    other.say(&format!("RPUSH talk:queue:{client} x\r\n"))?;
    other.lines(1)?;
    talk.lines(5).map(drop)
}

/// One connection.
pub(super) struct Talk {
    input: BufReader<TcpStream>,
}

impl Talk {
    pub(super) fn to(port: u16) -> Result<Self, String> {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|why| why.to_string())?;
        stream.set_nodelay(true).map_err(|why| why.to_string())?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|why| why.to_string())?;
        Ok(Self { input: BufReader::with_capacity(1 << 18, stream) })
    }

    pub(super) fn say(&mut self, text: &str) -> Result<(), String> {
        self.input.get_mut().write_all(text.as_bytes()).map_err(|why| why.to_string())
    }

    /// So many lines; the last one.
    pub(super) fn lines(&mut self, count: usize) -> Result<String, String> {
        let mut line = String::new();
        for _ in 0..count {
            line.clear();
            if self.input.read_line(&mut line).map_err(|why| why.to_string())? == 0 {
                return Err("the connection was closed".to_owned());
            }
        }
        Ok(line.trim_end().to_owned())
    }
}
