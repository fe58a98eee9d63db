//! A trail: commands from a seed, run on an empty engine and an empty Redis, answer by answer.

use crate::Task;
use crate::engine::{Engine, names, settings};
use crate::shrink::shrink;
use crate::steps::{Difference, Pair};
use quorate_resp::{Proto, Value};
use quorate_tests::client::{Client, is_ok};
use quorate_tests::cluster::Scratch;
use quorate_tests::generate::{Command, Maker};
use quorate_tests::redis::Redis;
use quorate_tests::script;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

/// Keys are compared as a whole after so many commands, and at the end.
const LOOK: usize = 100;

/// A Redis, and what runs a trail on it.
struct Bench {
    _redis: Redis,
    client: Client,
    _scratch: Scratch,
}

impl Bench {
    fn new() -> Self {
        let scratch = Scratch::new("diff");
        let args = ["--databases", "16", "--proto-max-bulk-len", "1048576"];
        let (redis, socket) = Redis::with_socket(scratch.path(), &args);
        let client = Client::connect_unix(&socket, Duration::from_mins(1)).expect("it answers");
        Self { _redis: redis, client, _scratch: scratch }
    }

    fn ask(&mut self, args: &[&str]) -> Value {
        self.client.call(args).expect("redis-server answers")
    }

    /// Names of Redis's commands, subcommands as `PARENT SUB`.
    fn names(&mut self) -> BTreeSet<String> {
        let listed = self.ask(&["COMMAND", "LIST"]);
        let mut names = BTreeSet::new();
        for name in listed.as_items().into_iter().flatten().filter_map(Value::as_bytes) {
            let name = String::from_utf8_lossy(name).to_ascii_uppercase();
            names.insert(name.replace('|', " "));
        }
        names
    }

    /// Runs a trail on both sides from the beginning.
    fn run(&mut self, seed: u64, trail: &[Command]) -> Result<(), Difference> {
        let proto = if seed.is_multiple_of(2) { Proto::Resp2 } else { Proto::Resp3 };
        let settings = settings(seed);
        let hello = if proto == Proto::Resp2 { "2" } else { "3" };
        self.ask(&["HELLO", hello]);
        for words in [&["FLUSHALL"][..], &["SELECT", "0"]] {
            assert!(is_ok(&self.ask(words)));
        }
        for (name, value) in &settings {
            assert!(is_ok(&self.ask(&["CONFIG", "SET", name, value])));
        }
        let engine = Engine::new(seed, proto, &settings);
        let mut pair = Pair { engine, redis: &mut self.client };
        for (number, command) in trail.iter().enumerate() {
            pair.step(command)?;
            if (number + 1).is_multiple_of(LOOK) {
                pair.look()?;
            }
        }
        pair.look()
    }
}

/// Runs the trails of a task; panics with a transcript if one shows a difference.
pub(crate) fn run(task: Task) {
    let mut bench = Bench::new();
    let (ours, theirs) = (names(), bench.names());
    let knows = |words: &[String]| {
        let has = |name: &str| name == "SELECT" || (ours.contains(name) && theirs.contains(name));
        let both = words.get(..2).map(|words| words.join(" "));
        words.first().is_some_and(|name| has(name)) || both.is_some_and(|name| has(&name))
    };
    for (seed, length) in task.trails() {
        let mut maker = Maker::new(seed, task.family, &knows);
        if task.family.is_some_and(|family| !maker.has_its_family(family)) {
            println!("{}: the engine has none of its commands yet", task.name);
            return;
        }
        let trail: Vec<Command> = (0..length).map(|_| maker.make()).collect();
        if bench.run(seed, &trail).is_err() {
            report(task, &mut bench, seed, trail);
        }
    }
}

/// Shrinks the trail, and ends the test with it.
fn report(task: Task, bench: &mut Bench, seed: u64, trail: Vec<Command>) {
    let whole = trail.len();
    let least = shrink(trail, &mut |trail| bench.run(seed, trail).is_err());
    let proto = if seed.is_multiple_of(2) { 2 } else { 3 };
    let mut text = format!(
        "\nfamily {}, seed {seed}, RESP{proto}: {} of {whole} commands are enough\n\n",
        task.name,
        least.len()
    );
    for command in &least {
        let _ = writeln!(text, "> {}", script::line(command));
    }
    match bench.run(seed, &least) {
        Ok(()) => text.push_str("(and now both agree: it depends on the moment)\n"),
        Err(difference) => {
            let _ = write!(text, "{difference}");
        }
    }
    panic!("{text}\nagain: {}\n", task.again("", seed));
}
