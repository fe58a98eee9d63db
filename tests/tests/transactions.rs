//! Transactions of clients on all nodes, with WATCH and without, while leaders die and pause: some
//! serial order explains what they saw, and it agrees with real time.

use quorate_resp::Value;
use quorate_tests::append::{End, Recorder, Step, Transaction, check};
use quorate_tests::client::{Client, is_ok};
use quorate_tests::cluster::{Cluster, Fault};
use quorate_tests::random::Random;
use quorate_tests::wait::until;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Lists that are in use at a time, and elements that are appended before others take their place.
const KEYS: usize = 3;
const ELEMENTS: u64 = 150;

/// What the clients share.
#[derive(Default)]
struct Work {
    recorder: Recorder,
    elements: AtomicU64,
    over: AtomicBool,
}

impl Work {
    fn element(&self) -> u64 {
        self.elements.fetch_add(1, Ordering::AcqRel)
    }

    fn key(&self, random: &mut Random) -> u64 {
        let age = self.elements.load(Ordering::Acquire) / ELEMENTS;
        age * KEYS as u64 + random.below(KEYS) as u64
    }
}

fn name(key: u64) -> String {
    format!("list:{key}")
}

fn list(value: &Value) -> Option<Vec<u64>> {
    let items = value.as_items()?.iter();
    items.map(|item| std::str::from_utf8(item.as_bytes()?).ok()?.parse().ok()).collect()
}

/// What the steps are on the wire, between MULTI and EXEC.
fn words(steps: &[Step]) -> Vec<Vec<String>> {
    let word = |step: &Step| match step {
        Step::Append(key, element) => vec!["RPUSH".into(), name(*key), element.to_string()],
        Step::Read(key, _) => vec!["LRANGE".into(), name(*key), "0".into(), "-1".into()],
    };
    steps.iter().map(word).collect()
}

/// Reads a watched list, so that what is written depends on it.
fn watch(client: &mut Client, key: u64) -> io::Result<Option<Step>> {
    if !is_ok(&client.call(&["WATCH", &name(key)])?) {
        return Ok(None);
    }
    let shown = client.call(&["LRANGE", &name(key), "0", "-1"])?;
    Ok(list(&shown).map(|list| Step::Read(key, list)))
}

/// Carries a transaction out: what became of it, and what it read.
fn carry_out(client: &mut Client, steps: &mut [Step]) -> io::Result<Outcome> {
    let mut commands = vec![vec!["MULTI".to_owned()]];
    commands.extend(words(steps));
    commands.push(vec!["EXEC".to_owned()]);
    let commands: Vec<Vec<&str>> =
        commands.iter().map(|words| words.iter().map(String::as_str).collect()).collect();
    let commands: Vec<&[&str]> = commands.iter().map(Vec::as_slice).collect();
    let replies = client.pipeline(&commands)?;
    match replies.last() {
        Some(Value::Array(replies)) => {
            assert_eq!(replies.len(), steps.len());
            for (step, reply) in steps.iter_mut().zip(replies) {
                if let Step::Read(_, seen) = step {
                    *seen = list(reply).expect("a list of elements");
                }
            }
            Ok(Outcome::Done)
        }
        Some(Value::Error(line)) if line.starts_with("UNCERTAIN") => Ok(Outcome::Unknown),
        Some(Value::Null | Value::NullArray | Value::Error(_)) => Ok(Outcome::Refused),
        other => panic!("EXEC answered {other:?}"),
    }
}

enum Outcome {
    Done,
    Refused,
    Unknown,
}

fn steps(work: &Work, random: &mut Random) -> Vec<Step> {
    let step = |random: &mut Random| {
        let key = work.key(random);
        if random.chance(1, 2) {
            Step::Append(key, work.element())
        } else {
            Step::Read(key, vec![])
        }
    };
    (0..=random.below(4)).map(|_| step(random)).collect()
}

/// One transaction; an error: the connection is lost.
fn transact(work: &Work, random: &mut Random, client: &mut Client) -> io::Result<()> {
    let called = work.recorder.now();
    let mut watched = Vec::new();
    if random.chance(1, 2) {
        for _ in 0..=random.below(2) {
            let Some(step) = watch(client, work.key(random))? else {
                client.call(&["UNWATCH"])?;
                return Ok(());
            };
            watched.push(step);
        }
    }
    let mut steps = steps(work, random);
    let outcome = carry_out(client, &mut steps);
    let end = match &outcome {
        Ok(Outcome::Done) => End::Done(work.recorder.now()),
        Ok(Outcome::Refused) => End::Refused,
        Ok(Outcome::Unknown) | Err(_) => End::Unknown,
    };
    watched.append(&mut steps);
    work.recorder.note(Transaction { called, end, steps: watched });
    outcome.map(drop)
}

fn client(work: &Work, ports: &[u16], number: usize) {
    let mut random = Random::new(number as u64);
    let mut turn = number;
    while !work.over.load(Ordering::Acquire) {
        let connected = Client::connect(ports[turn % ports.len()], Duration::from_secs(10));
        turn += 1;
        let Ok(mut connected) = connected else { continue };
        while !work.over.load(Ordering::Acquire) {
            if transact(work, &mut random, &mut connected).is_err() {
                break;
            }
        }
    }
}

#[test]
fn some_serial_order_explains_every_transaction() {
    let mut cluster = Cluster::start("transactions-history", 3, &[]);
    let ports = cluster.ports();
    let work = Arc::new(Work::default());
    let workers: Vec<_> = (0..9)
        .map(|number| {
            let (work, ports) = (Arc::clone(&work), ports.clone());
            std::thread::spawn(move || client(&work, &ports, number))
        })
        .collect();
    let some_more = || {
        let before = work.recorder.done();
        until("transactions are done", || (work.recorder.done() > before + 400).then_some(()));
    };
    for _ in 0..2 {
        some_more();
        cluster.without_leader(Fault::Killed, &some_more);
        some_more();
        cluster.without_leader(Fault::Paused, &some_more);
    }
    some_more();
    work.over.store(true, Ordering::Release);
    for worker in workers {
        worker.join().expect("a client ends well");
    }
    cluster.wait_writable();
    let work = Arc::into_inner(work).expect("all clients are gone");
    read_all(&cluster, &work);
    let history = work.recorder.into_transactions();
    let of = |end: fn(&End) -> bool| history.iter().filter(|it| end(&it.end)).count();
    eprintln!(
        "{} transactions: {} done, {} refused, {} unknown",
        history.len(),
        of(|end| matches!(end, End::Done(_))),
        of(|end| *end == End::Refused),
        of(|end| *end == End::Unknown),
    );
    if let Err(anomaly) = check(&history) {
        panic!("{anomaly:?} in {}", quorate_tests::append::tell(&history, &anomaly));
    }
}

/// What the lists hold at last.
fn read_all(cluster: &Cluster, work: &Work) {
    let mut reader = cluster.replicas[cluster.leader()].client().expect("it answers");
    let elements = work.elements.load(Ordering::Acquire);
    for key in 0..=(elements / ELEMENTS) * KEYS as u64 + KEYS as u64 {
        let called = work.recorder.now();
        let shown = reader.call(&["LRANGE", &name(key), "0", "-1"]).expect("an answer");
        let steps = vec![Step::Read(key, list(&shown).expect("a list"))];
        let end = End::Done(work.recorder.now());
        work.recorder.note(Transaction { called, end, steps });
    }
}
