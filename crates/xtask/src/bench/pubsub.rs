//! `cargo xtask bench pubsub`: messages to many subscribers, on three nodes and beside a
//! `redis-server`.
//!
//! One client publishes, 100 at a time; the subscribers are spread over the nodes, and each must
//! get every message, once and in order. What is told is messages delivered a second, until the
//! last subscriber has the last one.

use super::report::median;
use super::systems::{self, System};
use super::talk::{PATIENCE, Talk};
use std::path::Path;
use std::time::Instant;

/// Messages that are published at once.
const AT_ONCE: usize = 100;

/// `args`: `--rounds N` (default 3), `--messages N` (default 10,000), `--subscribers N` (default
/// 100).
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), String> {
    let (mut rounds, mut messages, mut subscribers) = (3, 10_000, 100);
    for pair in args.chunks(2) {
        let [name, value] = pair else { return Err(format!("{} needs a value", pair.join(" "))) };
        let number = value.parse().map_err(|_| format!("{name}: {value} is no number"))?;
        match name.as_str() {
            "--rounds" => rounds = number,
            "--messages" => messages = number,
            "--subscribers" => subscribers = number,
            _ => return Err(format!("not understood: {name} {value}")),
        }
    }
    let binary = systems::build(root)?;
    let scratch = std::env::temp_dir().join(format!("quorate-pubsub-{}", std::process::id()));
    let outcome = compare(&binary, &scratch, rounds, (messages, subscribers));
    let _ = std::fs::remove_dir_all(&scratch);
    outcome
}

fn compare(
    binary: &Path,
    scratch: &Path,
    rounds: usize,
    (messages, subscribers): (usize, usize),
) -> Result<(), String> {
    let systems = [
        System::quorate("quorate-3", binary, &scratch.join("three"), 3)?,
        System::redis("redis-none", &scratch.join("none"), false)?,
    ];
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..rounds.max(1) {
        for (system, rates) in systems.iter().zip(&mut rates) {
            rates.push(deliver(&system.ports(), messages, subscribers)?);
        }
    }
    let [ours, theirs] = &rates;
    let ratio = median(ours.iter().zip(theirs).map(|(one, other)| one / other).collect());
    let [ours, theirs] = rates.map(median);
    println!("{messages} messages to {subscribers} subscribers, each got all of them in order");
    println!("quorate-3 {ours:.0} a second, redis {theirs:.0} a second, ratio {ratio:.2}");
    Ok(())
}

/// Publishes to subscribers at these ports; messages delivered a second.
fn deliver(ports: &[u16], messages: usize, subscribers: usize) -> Result<f64, String> {
    let mut listening = Vec::new();
    for &port in ports.iter().cycle().take(subscribers) {
        let mut talk = Talk::to(port)?;
        talk.say("SUBSCRIBE bench\r\n")?;
        talk.lines(6)?;
        listening.push(std::thread::spawn(move || listen(talk, messages)));
    }
    let port = ports.first().ok_or("nothing runs")?;
    let mut publisher = Talk::to(*port)?;
    let counted = Instant::now();
    loop {
        publisher.say("PUBSUB NUMSUB bench\r\n")?;
        if publisher.lines(4)? == format!(":{subscribers}") {
            break;
        }
        if counted.elapsed() > PATIENCE {
            return Err("not all subscribers are counted".to_owned());
        }
    }
    let begun = Instant::now();
    let numbers: Vec<usize> = (0..messages).collect();
    for numbers in numbers.chunks(AT_ONCE) {
        let commands: Vec<String> =
            numbers.iter().map(|number| format!("PUBLISH bench {number}\r\n")).collect();
        publisher.say(&commands.concat())?;
        publisher.lines(numbers.len())?;
    }
    for subscriber in listening {
        subscriber.join().map_err(|_| "a subscriber's thread panicked")??;
    }
    Ok((messages * subscribers) as f64 / begun.elapsed().as_secs_f64())
}

/// Gets every message, once and in order.
fn listen(mut talk: Talk, messages: usize) -> Result<(), String> {
    for number in 0..messages {
        // *3, $7, message, $5, bench, $n, the message.
        let heard = talk.lines(7)?;
        if heard != number.to_string() {
            return Err(format!("message {number} is missing: {heard} came"));
        }
    }
    Ok(())
}
