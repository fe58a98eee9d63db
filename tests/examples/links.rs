//! Two tables: what a large value costs on narrow links, and what is served on slow ones. `cargo
//! xtask bench links` runs it; `QUORATE_BIN` names another binary to measure. Three replicas, each
//! behind a link of its own (`quorate_tests::link`). Nothing here asserts.
//!
//! Arguments: `large` or `delay` for one of the tables, `--link wan` for the preset.

use quorate_resp::Value;
use quorate_tests::client::{Client, is_ok};
use quorate_tests::cluster::{Cluster, Replica};
use quorate_tests::link::Link;
use quorate_tests::wait::pause;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Longer than this nothing is waited for.
const LIMIT: Duration = Duration::from_secs(45);
/// For so long each delay is measured.
const WINDOW: Duration = Duration::from_secs(15);

fn start(extra: &[&str], shape: impl Fn(&Link)) -> Option<(Cluster, Vec<Link>)> {
    let (mut cluster, links) = Cluster::prepare_linked("links", 3, extra);
    links.iter().for_each(shape);
    for replica in &mut cluster.replicas {
        replica.start();
    }
    let serve = || cluster.replicas.iter().all(Replica::accepts_writes).then_some(Some(()));
    wait(serve)?;
    Some((cluster, links))
}

/// Polls until there is something or the limit is reached.
fn wait<T>(mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        if let Some(found) = condition() {
            return Some(found);
        }
        pause(Duration::from_millis(20));
    }
    None
}

fn leader(cluster: &Cluster) -> Option<usize> {
    wait(|| {
        let leads = |at: &usize| {
            cluster.replicas[*at].info("raft_role").is_some_and(|role| role == "leader")
        };
        (0..cluster.replicas.len()).find(leads)
    })
}

fn connect(cluster: &Cluster, at: usize) -> Client {
    Client::connect(cluster.replicas[at].port, LIMIT).expect("it listens")
}

/// What became of one kind of command.
#[derive(Default)]
struct Seen {
    waits: Vec<Duration>,
    errors: usize,
    longest: Duration,
}

impl Seen {
    fn note(&mut self, wait: Duration, answer: &std::io::Result<Value>) {
        self.longest = self.longest.max(wait);
        if matches!(answer, Ok(Value::Error(_)) | Err(_)) {
            self.errors += 1;
        } else {
            self.waits.push(wait);
        }
    }

    fn p99(&mut self) -> String {
        self.waits.sort_unstable();
        let at = (self.waits.len() * 99).div_ceil(100).checked_sub(1);
        at.map_or("-".to_owned(), |at| format!("{:?}", round(self.waits[at])))
    }
}

fn round(time: Duration) -> Duration {
    let micros = time.as_micros() as u64;
    Duration::from_micros(if micros > 10_000 { micros / 1000 * 1000 } else { micros / 10 * 10 })
}

/// One command after the other until `over`.
fn drive(client: &mut Client, command: &[&str], over: impl Fn() -> bool) -> Seen {
    let mut seen = Seen::default();
    while !over() {
        let begun = Instant::now();
        let answer = client.call(command);
        seen.note(begun.elapsed(), &answer);
    }
    seen
}

fn set_large(client: &mut Client, bytes: usize) -> (Duration, String) {
    let begun = Instant::now();
    let answer = client.call_bytes(&[b"SET".to_vec(), b"large".to_vec(), vec![b'v'; bytes]]);
    let said = match answer {
        Ok(ok) if is_ok(&ok) => "OK".to_owned(),
        Ok(Value::Error(line)) => line.split(' ').next().unwrap_or_default().to_owned(),
        other => format!("{other:?}").chars().take(20).collect(),
    };
    (round(begun.elapsed()), said)
}

fn large(extra: &[&str]) {
    println!(
        "| link, Mbit/s | MiB | SET | takes | others' SET p99 (max) | GET p99 (max) \
         | errors | follower catches up |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (mbit, mib) in [(1000, 8), (1000, 60), (300, 60), (200, 60), (100, 60), (20, 8)] {
        let width = |link: &Link| link.set_width(mbit * 1_000_000 / 8);
        let Some((mut cluster, links)) = start(extra, width) else {
            println!("| {mbit} | {mib} | does not start |");
            continue;
        };
        let Some(at) = leader(&cluster) else { continue };
        let (mut writer, mut setter, mut getter) =
            (connect(&cluster, at), connect(&cluster, at), connect(&cluster, at));
        let done = &AtomicBool::new(false);
        let over = || done.load(Ordering::Relaxed);
        let ((took, said), mut sets, mut gets) = std::thread::scope(|scope| {
            let sets = scope.spawn(move || drive(&mut setter, &["SET", "small", "1"], over));
            let gets = scope.spawn(move || drive(&mut getter, &["GET", "small"], over));
            pause(Duration::from_millis(300));
            let set = set_large(&mut writer, mib << 20);
            done.store(true, Ordering::Relaxed);
            (set, sets.join().expect("a writer"), gets.join().expect("a reader"))
        });
        let behind = (at + 1) % 3;
        cluster.replicas[behind].kill();
        links[behind].set_width(0);
        let again = set_large(&mut connect(&cluster, at), mib << 20).1;
        width(&links[behind]);
        cluster.replicas[behind].start();
        let begun = Instant::now();
        let caught_up = wait(|| {
            let applied = |at: usize| cluster.replicas[at].info("raft_applied_index");
            (applied(behind)? == applied(at)?).then(|| round(begun.elapsed()))
        });
        let caught_up = caught_up.map_or("never".to_owned(), |took| format!("{took:?}"));
        println!(
            "| {mbit} | {mib} | {said} | {took:?} | {} ({:?}) | {} ({:?}) | {} \
             | {caught_up} ({again}) |",
            sets.p99(),
            round(sets.longest),
            gets.p99(),
            round(gets.longest),
            sets.errors + gets.errors,
        );
    }
}

fn delay(extra: &[&str]) {
    println!(
        "| one way, ms | writes/s | refused | longest wait | reads/s | refused \
         | longest wait | elections |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for ms in [0, 20, 50, 100, 200, 400] {
        let shape = |link: &Link| link.set_delay(Duration::from_millis(ms));
        let Some((cluster, _links)) = start(extra, shape) else {
            println!("| {ms} | does not serve within {LIMIT:?} |");
            continue;
        };
        let term = || cluster.replicas[0].info("raft_term").and_then(|term| term.parse().ok());
        let before: u64 = term().unwrap_or(0);
        let begun = Instant::now();
        let all = |command: &'static [&'static str]| {
            let mut all = Seen::default();
            std::thread::scope(|scope| {
                let cluster = &cluster;
                let drives: Vec<_> = (0..3)
                    .map(|at| {
                        let over = move || begun.elapsed() > WINDOW;
                        scope.spawn(move || drive(&mut connect(cluster, at), command, over))
                    })
                    .collect();
                for seen in drives {
                    let seen = seen.join().expect("a client");
                    all.errors += seen.errors;
                    all.longest = all.longest.max(seen.longest);
                    all.waits.extend(seen.waits);
                }
            });
            all
        };
        let (writes, reads) = std::thread::scope(|scope| {
            let writes = scope.spawn(|| all(&["SET", "key", "value"]));
            let reads = scope.spawn(|| all(&["GET", "key"]));
            (writes.join().expect("writers"), reads.join().expect("readers"))
        });
        let rate = |seen: &Seen| seen.waits.len() as f64 / WINDOW.as_secs_f64();
        println!(
            "| {ms} | {:.1} | {} | {:?} | {:.1} | {} | {:?} | {} |",
            rate(&writes),
            writes.errors,
            round(writes.longest),
            rate(&reads),
            reads.errors,
            round(reads.longest),
            term().unwrap_or(0) - before,
        );
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let link = args.iter().position(|arg| arg == "--link").and_then(|at| args.get(at + 1));
    let extra: Vec<&str> = match link {
        Some(link) => vec!["--cluster-link", link],
        None => Vec::new(),
    };
    let only = args.first().map(String::as_str);
    if only != Some("delay") {
        large(&extra);
    }
    if only != Some("large") {
        delay(&extra);
    }
}
