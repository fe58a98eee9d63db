//! The clients of a simulated cluster: they count, set and lock at random replicas, and have every
//! answer checked.

use super::check::{COUNTER, Checks, LOCK_MS, counter, number};
use super::cluster::{Cluster, HOSTS, Running};
use super::net::Random;
use super::queue::QUEUE;
use super::rt::SimRt;
use crate::api::Answer;
use crate::write::blocked::Blocked;
use bytes::Bytes;
use openraft::AsyncRuntime;
use quorate_engine::{Db, Guard, Run, RunKind};
use quorate_resp::Proto;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// How many there are.
const CLIENTS: u64 = 5;
/// The key that transactions watch.
const WATCHED: &str = "watched";
/// A client gives an answer up after this: its replica died, or the answer is lost.
const ANSWER_MAX: Duration = Duration::from_secs(12);

/// The running clients.
pub(crate) struct Clients {
    stop: Arc<AtomicBool>,
    tasks: Vec<<SimRt as AsyncRuntime>::JoinHandle<()>>,
}

impl Clients {
    /// Lets each finish what it does.
    pub(crate) async fn end(self) {
        self.stop.store(true, Ordering::Release);
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

/// Starts them.
pub(crate) fn start(cluster: &Cluster, seed: u64) -> Clients {
    let stop = Arc::new(AtomicBool::new(false));
    let tasks = (0..CLIENTS).map(|number| {
        let client = Client {
            cluster: cluster.clone(),
            random: Random::new(seed ^ (number + 1) << 40),
            name: format!("c{number}"),
            sets: 0,
        };
        SimRt::spawn(client.work(stop.clone()))
    });
    Clients { tasks: tasks.collect(), stop }
}

/// A client connects to a replica, waits for an element, and hangs up or gives up after a while.
async fn wait_for_element(
    checks: &Checks,
    running: &Running,
    (who, limit, hangs_up): (&str, Duration, bool),
) {
    let (tell, told) = oneshot::channel();
    let group = running.replica.group.clone();
    // In the replica's process: a session dies with it.
    running.process.enter(|| {
        drop(SimRt::spawn(async move {
            let mut blocked = Blocked::begin(&group, command(0, &["BLPOP", QUEUE, "0"]));
            let answer = match SimRt::timeout(limit, blocked.answer()).await {
                Ok(answer) => Some(answer),
                Err(_) if hangs_up => None,
                Err(_) => blocked.give_up().await,
            };
            let _ = tell.send(answer);
        }));
    });
    match told.await {
        Ok(Some(Answer::Replies(reply, _))) => {
            let text = String::from_utf8_lossy(&reply);
            match text.lines().nth(4) {
                Some(element) if text.starts_with("*2\r\n") => checks.popped(element, who),
                _ if text.starts_with("-MISCONF") => {}
                _ => checks.fail(format!("{who}: BLPOP was answered {text:?}")),
            }
        }
        Ok(Some(Answer::Uncertain)) => checks.died_with(1),
        Ok(Some(Answer::NotApplied(_)) | None) | Err(_) => {}
    }
}

pub(crate) fn command(db: u8, words: &[&str]) -> Run {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        let _ = write!(text, "${}\r\n{word}\r\n", word.len());
    }
    Run {
        db: Db(db),
        proto: Proto::Resp2,
        commands: Bytes::from(text),
        count: 1,
        kind: RunKind::Commands,
    }
}

struct Client {
    cluster: Cluster,
    random: Random,
    name: String,
    sets: u64,
}

impl Client {
    async fn work(mut self, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::Acquire) && !self.cluster.checks.has_failed() {
            let pause = if self.random.one_in(20) { 200_000 } else { 6000 };
            SimRt::sleep(Duration::from_micros(self.random.below(pause))).await;
            let at = usize::try_from(self.random.below(HOSTS as u64)).unwrap_or(0);
            let Some(running) = self.cluster.running(at) else { continue };
            let first = if self.cluster.faults.is_of_waiting() { 16 } else { 0 };
            match first + self.random.below(20 - first) {
                18.. => self.pop(&running).await,
                16..18 => self.push(&running).await,
                13..16 => self.transact(&running).await,
                0..4 => self.increment(&running).await,
                4..7 => self.read(&running).await,
                7..9 => self.set(&running).await,
                9 => self.take_lock(&running).await,
                _ => self.churn(&running).await,
            }
        }
    }

    /// The reply, if there was a definite one.
    async fn submit(&self, running: &Running, words: &[&str]) -> Option<Bytes> {
        self.submit_in(0, running, words).await
    }

    async fn submit_in(&self, db: u8, running: &Running, words: &[&str]) -> Option<Bytes> {
        self.submit_run(running, command(db, words)).await
    }

    async fn submit_run(&self, running: &Running, run: Run) -> Option<Bytes> {
        let answer = running.replica.submit(run);
        match SimRt::timeout(ANSWER_MAX, answer).await {
            // While replicas differ and no majority answers, nothing is written.
            Ok(Ok(Answer::Replies(replies, _))) if replies.starts_with(b"-MISCONF") => None,
            Ok(Ok(Answer::Replies(replies, _))) => Some(replies),
            Ok(Ok(Answer::NotApplied(_))) => None,
            Ok(Ok(Answer::Uncertain) | Err(_)) | Err(_) => {
                self.cluster.checks.uncertain(&self.name);
                None
            }
        }
    }

    fn who(&self, running: &Running) -> String {
        format!("{}@{}", self.name, running.name)
    }

    async fn increment(&self, running: &Running) {
        let checks = &self.cluster.checks;
        let asked = checks.ask(true);
        let Some(reply) = self.submit(running, &["INCR", COUNTER]).await else { return };
        let text = String::from_utf8_lossy(&reply);
        match text.strip_prefix(':').and_then(|rest| rest.trim_end().parse().ok()) {
            Some(value) => checks.incremented(asked, value, &self.who(running)),
            None => checks.fail(format!("INCR was answered {text:?}")),
        }
    }

    async fn read(&self, running: &Running) {
        let checks = &self.cluster.checks;
        let asked = checks.ask(false);
        let value = match SimRt::timeout(ANSWER_MAX, running.replica.read()).await {
            Ok(Ok(keyspace)) => counter(&keyspace),
            Ok(Err(_)) | Err(_) => return,
        };
        checks.read(asked, value, &self.who(running));
    }

    async fn set(&mut self, running: &Running) {
        self.sets += 1;
        let key = format!("{}:{}", self.name, self.sets);
        let value = "v".repeat(usize::try_from(self.random.below(600)).unwrap_or(0) + 1);
        let reply = self.submit(running, &["SET", &key, &value]).await;
        match reply.as_deref() {
            Some(b"+OK\r\n") => self.cluster.checks.set(&key, &self.who(running)),
            Some(other) => self.cluster.checks.fail(format!("SET was answered {other:?}")),
            None => {}
        }
    }

    /// Raises a number by a transaction that watches it. A second number, raised by the same
    /// transactions and by nobody else, tells how many have taken place.
    async fn transact(&mut self, running: &Running) {
        let checks = &self.cluster.checks;
        let (value, revision) = match SimRt::timeout(ANSWER_MAX, running.replica.read()).await {
            Ok(Ok(keyspace)) => {
                (number(&keyspace, WATCHED), keyspace.revision(Db(0), WATCHED.as_bytes()))
            }
            Ok(Err(_)) | Err(_) => return,
        };
        SimRt::sleep(Duration::from_micros(self.random.below(3000))).await;
        let mut guards = vec![Guard { db: Db(0), key: WATCHED.as_bytes().into(), revision }];
        if self.cluster.faults.watch_here {
            let keyspace = running.replica.peek().await;
            if keyspace.revision(Db(0), WATCHED.as_bytes()) != revision {
                return;
            }
            guards.clear();
        }
        let (next, mut run) = ((value + 1).to_string(), command(0, &["INCR", "transactions"]));
        let set = command(0, &["SET", WATCHED, &next]).commands;
        run.commands = [&set[..], &run.commands[..]].concat().into();
        (run.count, run.kind) = (2, RunKind::Transaction(guards.into()));
        let Some(reply) = self.submit_run(running, run).await else { return };
        let done = format!("*2\r\n+OK\r\n:{next}\r\n");
        if reply == "*-1\r\n" {
            checks.note(&format!("{} EXEC of {next} did not take place", self.who(running)));
        } else if reply == done {
            checks.note(&format!("{} EXEC of {next}", self.who(running)));
        } else {
            checks.fail(format!("{}: EXEC of {next} was answered {reply:?}", self.who(running)));
        }
    }

    async fn push(&mut self, running: &Running) {
        self.sets += 1;
        let element = format!("{}:{}", self.name, self.sets);
        match self.submit(running, &["RPUSH", QUEUE, &element]).await.as_deref() {
            Some([b':', ..]) => self.cluster.checks.pushed(&element, &self.who(running)),
            Some(other) => self.cluster.checks.fail(format!("RPUSH was answered {other:?}")),
            None => {}
        }
    }

    async fn pop(&mut self, running: &Running) {
        let limit = Duration::from_micros(self.random.below(600_000));
        let hangs_up = self.random.one_in(3);
        wait_for_element(&self.cluster.checks, running, (&self.who(running), limit, hangs_up))
            .await;
    }

    async fn take_lock(&self, running: &Running) {
        let checks = &self.cluster.checks;
        let asked = checks.ask(false);
        let time = LOCK_MS.to_string();
        let words = ["SET", "lock", self.name.as_str(), "NX", "PX", time.as_str()];
        match self.submit(running, &words).await.as_deref() {
            Some(b"+OK\r\n") => checks.locked(asked, &self.who(running)),
            Some(b"$-1\r\n") | None => {}
            Some(other) => checks.fail(format!("the lock was answered {other:?}")),
        }
    }

    /// Changes other databases in ways that a snapshot under way must not show. Nobody checks the
    /// answers; in the end all replicas must hold the same.
    async fn churn(&mut self, running: &Running) {
        let mut draw = |below: u64| self.random.below(below);
        let db = 1 + u8::try_from(draw(3)).unwrap_or(0);
        let (one, other) = (format!("k{}", draw(80)), format!("k{}", draw(80)));
        let (place, to) = (draw(150_000).to_string(), (1 + draw(3)).to_string());
        let (one, other, here) = (one.as_str(), other.as_str(), db.to_string());
        let words: &[&str] = match draw(40) {
            0..14 => &["SET", one, other],
            14..18 => &["APPEND", one, other],
            18..21 => &["SETRANGE", one, &place, other],
            21..27 => &["DEL", one],
            27..30 => &["PEXPIRE", one, "300"],
            30..32 => &["RENAME", one, other],
            32..34 => &["COPY", one, other, "REPLACE"],
            34..36 => &["MOVE", one, &to],
            36..39 => &["SWAPDB", &here, &to],
            _ => &["FLUSHDB"],
        };
        self.submit_in(db, running, words).await;
    }
}
