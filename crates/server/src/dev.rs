//! `quorate dev`: a cluster on this machine with one command, for trying things out.
//!
//! Its nodes are child processes of the same binary with a data directory each, kept between runs,
//! and a peer secret of their own.
//! A node that dies (try `kill -9`) is started again after a moment. Signals mean what they mean to
//! a node, which is told the same: Ctrl-C stops all of them cleanly, a second one at once.

use crate::arguments::Pairs;
use crate::console::{complain, print};
use crate::serve::DIE_WITH_PARENT;
use crate::signals::{INTERRUPT, Signals, Wish};
use crate::{ping, secret};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// How long the cluster may take to come up.
const START_TIME: Duration = Duration::from_mins(1);
/// How long a node may take to stop: handing over, clients, and 20 s for a last snapshot.
const STOP_TIME: Duration = Duration::from_mins(1);
/// Pause before a node that died is started again.
const RESTART_TIME: Duration = Duration::from_secs(2);
/// A node that lives shorter than this has a reason, which is shown instead of trying again.
const LIFE_TIME: Duration = Duration::from_secs(5);
/// Nodes at most: more would only slow a laptop down.
const NODES_MAX: u16 = 9;

/// What is to be started.
struct Plan {
    port: u16,
    nodes: u16,
    dir: PathBuf,
    /// Settings passed on to every node.
    others: Pairs,
    /// Process of each node that runs, by its number.
    processes: Mutex<BTreeMap<u16, Pid>>,
}

/// One running node.
struct Running {
    number: u16,
    port: u16,
    child: Child,
    since: Instant,
}

/// Runs the cluster until Ctrl-C.
pub(crate) fn run(pairs: &Pairs) -> Result<(), String> {
    let plan = plan(pairs)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|why| why.to_string())?.block_on(cluster(&plan))
}

fn plan(pairs: &Pairs) -> Result<Plan, String> {
    let mut plan = Plan {
        port: 6379,
        nodes: 3,
        dir: "quorate-dev".into(),
        others: Vec::new(),
        processes: Mutex::default(),
    };
    for (name, value) in pairs {
        let number = || value.parse::<u16>().map_err(|_| format!("--{name} {value} is no number"));
        match name.as_str() {
            "port" => plan.port = number()?,
            "nodes" => plan.nodes = number()?,
            "dir" => plan.dir = value.into(),
            _ => plan.others.push((name.clone(), value.clone())),
        }
    }
    if plan.nodes == 0 || plan.nodes > NODES_MAX {
        return Err(format!("--nodes must be between 1 and {NODES_MAX}"));
    }
    if u32::from(plan.port) + 10_000 + u32::from(plan.nodes) > 65_535 {
        return Err("--port is too large: peers use the port + 10000".to_owned());
    }
    Ok(plan)
}

impl Plan {
    fn port_of(&self, number: u16) -> u16 {
        self.port + number - 1
    }

    fn log_of(&self, number: u16) -> PathBuf {
        self.dir.join(format!("node{number}.log"))
    }

    /// The nodes' secret. In a file, since a list of processes shows flags to everybody.
    fn secret(&self) -> PathBuf {
        self.dir.join("peer-secret")
    }

    fn start(&self, number: u16) -> Result<Running, String> {
        let port = self.port_of(number);
        let dir = self.dir.join(format!("node{number}"));
        std::fs::create_dir_all(&dir).map_err(|why| format!("{}: {why}", dir.display()))?;
        let peers: Vec<String> = (1..=self.nodes)
            .map(|number| format!("127.0.0.1:{}", self.port_of(number) + 10_000))
            .collect();
        let executable = std::env::current_exe().map_err(|why| why.to_string())?;
        let mut command = Command::new(executable);
        command
            .arg("server")
            .args(["--port", &port.to_string()])
            .args(["--peer-port", &(port + 10_000).to_string()])
            .args(["--peers", &peers.join(",")])
            .arg("--dir")
            .arg(&dir)
            .arg("--logfile")
            .arg(self.log_of(number))
            .arg("--peer-secret-file")
            .arg(self.secret())
            .env(DIE_WITH_PARENT, "1")
            .stdin(Stdio::null())
            // Ctrl-C goes to the whole group of the terminal, and is for the parent alone, which
            // then tells the nodes: to them it would come twice.
            .process_group(0);
        for (name, value) in &self.others {
            command.arg(format!("--{name}")).arg(value);
        }
        let child = command.spawn().map_err(|why| format!("node {number} cannot start: {why}"))?;
        let process = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        self.processes().extend(process.map(|process| (number, process)));
        Ok(Running { number, port, child, since: Instant::now() })
    }

    fn processes(&self) -> MutexGuard<'_, BTreeMap<u16, Pid>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a node has ended, and how.
    fn ended(&self, node: &mut Running) -> Option<std::process::ExitStatus> {
        // Its number may be another process's from here on.
        let status = node.child.try_wait().ok().flatten()?;
        self.processes().remove(&node.number);
        Some(status)
    }

    fn tell_all(&self, signal: Signal) {
        for process in self.processes().values() {
            // One that has just ended needs no telling.
            let _ = kill_process(*process, signal);
        }
    }
}

async fn cluster(plan: &Plan) -> Result<(), String> {
    let mut signals = Signals::catch().map_err(|why| why.to_string())?;
    std::fs::create_dir_all(&plan.dir).map_err(|why| format!("{}: {why}", plan.dir.display()))?;
    secret::make(&plan.secret()).map_err(|why| why.to_string())?;
    let mut running = Vec::new();
    for number in 1..=plan.nodes {
        running.push(plan.start(number)?);
    }
    print(&format!("Starting {} nodes, data in {} (kept) …\n", plan.nodes, plan.dir.display()));
    let outcome = tokio::select! {
        outcome = life(plan, &mut running) => outcome,
        () = told_to_stop(plan, &mut signals) => Ok(()),
    };
    print("\nStopping …\n");
    stop_all(plan, &mut running, &mut signals).await?;
    print(&format!("Stopped. The data stays in {}.\n", plan.dir.display()));
    outcome
}

/// Waits for a signal that ends the cluster; others are passed on. A hangup ends it if the terminal
/// went that it was started on: nobody would know of it any more.
async fn told_to_stop(plan: &Plan, signals: &mut Signals) {
    let on_terminal = std::io::stdin().is_terminal();
    loop {
        match signals.next().await {
            Wish::Stop(_) => return,
            Wish::Reopen if on_terminal && !std::io::stdin().is_terminal() => return,
            Wish::Reopen => plan.tell_all(Signal::HUP),
        }
    }
}

/// Waits for the cluster to come up, says how to connect, then keeps it running.
async fn life(plan: &Plan, running: &mut [Running]) -> Result<(), String> {
    come_up(plan, running).await?;
    greet(plan);
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for node in running.iter_mut() {
            let Some(status) = plan.ended(node) else { continue };
            if node.since.elapsed() < LIFE_TIME {
                return Err(died(plan, node.number, status));
            }
            print(&format!("Node {} stopped ({status}); starting it again.\n", node.number));
            tokio::time::sleep(RESTART_TIME).await;
            *node = plan.start(node.number)?;
        }
    }
}

async fn come_up(plan: &Plan, running: &mut [Running]) -> Result<(), String> {
    let end = Instant::now() + START_TIME;
    let mut ready = vec![false; running.len()];
    while ready.iter().any(|ready| !ready) {
        for (node, ready) in running.iter_mut().zip(ready.iter_mut()).filter(|(_, ready)| !**ready)
        {
            if let Some(status) = plan.ended(node) {
                return Err(died(plan, node.number, status));
            }
            let port = node.port;
            let asked = tokio::task::spawn_blocking(move || ping::ask("127.0.0.1", port, None));
            match asked.await {
                Ok(Ok(state)) => {
                    *ready = true;
                    print(&format!("  node {}  127.0.0.1:{port}  {state}\n", node.number));
                }
                Ok(Err(why)) if Instant::now() > end => {
                    return Err(format!("node {} does not come up: {why}", node.number));
                }
                _ => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn greet(plan: &Plan) {
    let port = plan.port;
    let last = plan.port_of(plan.nodes);
    print(&format!(
        "Ready. Connect to any port from {port} to {last}:\n\
         \x20 redis-cli -p {port}\n\
         \x20 python3 -c \"import redis; print(redis.Redis(port={port}).ping())\"\n\
         Logs are in {}. Ctrl-C stops the cluster.\n",
        plan.dir.join("node*.log").display()
    ));
}

fn died(plan: &Plan, number: u16, status: std::process::ExitStatus) -> String {
    let tail = tail(&plan.log_of(number));
    format!("Node {number} ended ({status}). The end of its log:\n{tail}")
}

fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(10);
    lines.get(from..).unwrap_or(&[]).join("\n")
}

/// Stops the nodes as SIGTERM stops any: each leaves a directory that stock Redis opens.
async fn stop_all(
    plan: &Plan,
    running: &mut [Running],
    signals: &mut Signals,
) -> Result<(), String> {
    plan.tell_all(Signal::TERM);
    let stopped = async {
        for node in running.iter_mut() {
            if tokio::time::timeout(STOP_TIME, node.child.wait()).await.is_err() {
                complain(&format!("Node {} does not stop; killing it.", node.number));
                drop(node.child.kill().await);
            }
        }
    };
    tokio::select! {
        () = stopped => return Ok(()),
        () = async { while signals.next().await != INTERRUPT {} } => {}
    }
    for node in running {
        drop(node.child.kill().await);
    }
    Err("Interrupted again: the nodes were killed.".to_owned())
}
