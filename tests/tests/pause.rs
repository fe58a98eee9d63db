//! A paused leader answers nothing stale when it goes on; the whole history is checked for
//! linearizability.

use quorate_tests::client::{Client, is_ok, text};
use quorate_tests::cluster::Cluster;
use quorate_tests::history::{Action, History, Operation};
use quorate_tests::wait::{pause, until};
use rustix::process::Signal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Operations of one client on one key before it turns to the next: keeps the search small.
const OPERATIONS_PER_KEY: u64 = 40;

struct Worker {
    id: u64,
    port: u16,
    history: Arc<History>,
    stop: Arc<AtomicBool>,
    next_value: Arc<AtomicU64>,
}

impl Worker {
    fn run(&self) {
        let mut client = None;
        for turn in 0_u64.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            if client.is_none() {
                client = Client::connect(self.port, Duration::from_secs(15)).ok();
            }
            let Some(open) = client.as_mut() else {
                pause(Duration::from_millis(5));
                continue;
            };
            // All workers share a key for a stretch of time, so that they contend.
            let key = format!(
                "register:{}",
                self.next_value.load(Ordering::Relaxed) / OPERATIONS_PER_KEY
            );
            let kept = if (turn + self.id).is_multiple_of(3) {
                self.write(open, &key)
            } else {
                self.read(open, &key)
            };
            if !kept {
                client = None;
            }
        }
    }

    fn write(&self, client: &mut Client, key: &str) -> bool {
        let value = self.next_value.fetch_add(1, Ordering::Relaxed);
        let called = self.history.now();
        let answer = client.call(&["SET", key, &value.to_string()]);
        let done = self.history.now();
        let action = Action::Write(value);
        match answer {
            Ok(ok) if is_ok(&ok) => {
                self.history.note(key, Operation { called, returned: Some(done), action });
                true
            }
            // A definite refusal did not happen; anything else may have.
            Ok(quorate_resp::Value::Error(line)) if !line.starts_with("UNCERTAIN") => true,
            other => {
                self.history.note(key, Operation { called, returned: None, action });
                other.is_ok()
            }
        }
    }

    fn read(&self, client: &mut Client, key: &str) -> bool {
        let called = self.history.now();
        match client.call(&["GET", key]) {
            Ok(quorate_resp::Value::Error(_)) => true,
            Ok(value) => {
                let seen = text(&value).and_then(|text| text.parse().ok());
                let returned = Some(self.history.now());
                self.history.note(key, Operation { called, returned, action: Action::Read(seen) });
                true
            }
            Err(_) => false,
        }
    }
}

#[test]
fn a_paused_leader_serves_nothing_stale() {
    let cluster = Cluster::start("pause", 3, &[]);
    let history = Arc::new(History::default());
    let stop = Arc::new(AtomicBool::new(false));
    let next_value = Arc::new(AtomicU64::new(1));
    let workers: Vec<_> = (0..9)
        .map(|id| {
            let worker = Worker {
                id,
                port: cluster.replicas[id as usize % 3].port,
                history: Arc::clone(&history),
                stop: Arc::clone(&stop),
                next_value: Arc::clone(&next_value),
            };
            std::thread::spawn(move || worker.run())
        })
        .collect();
    for length in [5_000, 700, 1_500] {
        let before = history.len();
        until("some operations", || (history.len() > before + 300).then_some(()));
        let leader = cluster.leader();
        cluster.replicas[leader].signal(Signal::STOP);
        pause(Duration::from_millis(length));
        cluster.replicas[leader].signal(Signal::CONT);
    }
    let before = history.len();
    until("operations after the last pause", || (history.len() > before + 300).then_some(()));
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.join().expect("a worker does not panic");
    }
    eprintln!("{} operations", history.len());
    history.check().expect("the history is linearizable");
    cluster.wait_agreed();
}
