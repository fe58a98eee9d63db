//! Real `quorate server` processes on loopback: start, kill, stop, continue, restart, and ask who
//! leads.
//!
//! Every process is ended when its [`Replica`] is dropped, whatever the test did.

use crate::client::Client;
use crate::link::Link;
use crate::port::free_port;
use crate::wait::until;
use rustix::process::Signal;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A directory that is removed when it is dropped, unless the test failed: then it stays to be
/// looked at.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes a fresh directory named after the test.
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir =
            std::env::temp_dir().join(format!("quorate-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).expect("a temporary directory can be made");
        Self(dir)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept for inspection: {}", self.0.display());
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// The server binary under test: `QUORATE_BIN`, or the one beside the test's own executable.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("QUORATE_BIN") {
        return path.into();
    }
    let exe = std::env::current_exe().expect("the test's own path is known");
    let built = exe.ancestors().nth(2).expect("target/PROFILE/deps/test").join("quorate");
    assert!(built.exists(), "{} is missing: run `cargo build -p quorate` first", built.display());
    built
}

/// One replica's place: ports, directory, and the process while it runs.
#[derive(Debug)]
pub struct Replica {
    /// RESP port.
    pub port: u16,
    /// Peer port.
    pub peer_port: u16,
    /// Data directory.
    pub dir: PathBuf,
    /// Extra arguments of this replica.
    pub extra: Vec<String>,
    /// Extra environment of this replica (a preloaded shim).
    pub env: Vec<(String, String)>,
    /// Lines of shell before the server takes the shell's place (`ulimit -n 256`).
    pub before: String,
    peers: String,
    child: Option<Child>,
}

impl Replica {
    /// A place for a member of an existing list of peers; `ports` are RESP and peer port.
    pub fn at(ports: (u16, u16), dir: PathBuf, peers: &str) -> Self {
        Self {
            port: ports.0,
            peer_port: ports.1,
            dir,
            extra: Vec::new(),
            env: Vec::new(),
            before: String::new(),
            peers: peers.to_owned(),
            child: None,
        }
    }

    /// Starts the process. Its output goes to `log` beside the data directory.
    pub fn start(&mut self) {
        self.start_with(|command| command);
    }

    /// The same, with a change to how it is started (another output).
    pub fn start_with(&mut self, change: impl FnOnce(&mut Command) -> &mut Command) {
        assert!(self.child.is_none(), "it runs already");
        fs::create_dir_all(&self.dir).expect("the data directory can be made");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.with_extension("log"))
            .expect("the log file can be opened");
        let mut command = self.command();
        command
            .arg("server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--peer-port", &self.peer_port.to_string()])
            .args(["--peers", &self.peers])
            .arg("--dir")
            .arg(&self.dir)
            .args(["--enable-debug-command", "yes"])
            .args(&self.extra)
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a descriptor can be copied"))
            .stderr(log);
        let child = change(&mut command).spawn().expect("the server binary starts");
        self.child = Some(child);
    }

    fn command(&self) -> Command {
        if self.before.is_empty() {
            return Command::new(binary());
        }
        let mut command = Command::new("sh");
        let script = format!("{}\nexec \"$0\" \"$@\"", self.before);
        command.arg("-c").arg(script).arg(binary());
        command
    }

    /// Whether the process was started and has not been waited for.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Sends a signal by name (`KILL`, `STOP`, `CONT`, `TERM`).
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        let pid = rustix::process::Pid::from_child(child);
        rustix::process::kill_process(pid, signal).expect("the process is ours");
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM, and waits for a clean end. Returns whether the exit status was 0.
    pub fn terminate(&mut self) -> bool {
        self.signal(Signal::TERM);
        self.wait_exit() == Some(0)
    }

    /// Waits until the process ends by itself; its exit code.
    pub fn wait_exit(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        until("the process ends", || child.try_wait().ok().flatten()).code()
    }

    /// How the process ended, once it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok().flatten()?;
        self.child = None;
        Some(status)
    }

    /// What the process has printed so far.
    pub fn output(&self) -> String {
        fs::read_to_string(self.dir.with_extension("log")).unwrap_or_default()
    }

    /// A connection with a time limit that suits a loaded machine.
    pub fn client(&self) -> Option<Client> {
        Client::connect(self.port, Duration::from_secs(20)).ok()
    }

    /// A field of `INFO`, if the replica answers.
    pub fn info(&self, field: &str) -> Option<String> {
        Client::connect(self.port, Duration::from_secs(5)).ok()?.info(field)
    }

    /// Writes once through this replica; true when it was acknowledged.
    pub fn accepts_writes(&self) -> bool {
        let answer = Client::connect(self.port, Duration::from_secs(5))
            .and_then(|mut client| client.call(&["SET", "harness:probe", "1"]));
        answer.is_ok_and(|value| crate::client::is_ok(&value))
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How a leader is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `SIGKILL`.
    Killed,
    /// `SIGSTOP`, and `SIGCONT` later.
    Paused,
}

/// A cluster of replicas.
#[derive(Debug)]
pub struct Cluster {
    /// The replicas, by position in the peer list.
    pub replicas: Vec<Replica>,
    /// Their directories live here.
    pub scratch: Scratch,
}

impl Cluster {
    /// Prepares `count` replicas with `extra` arguments, without starting them.
    pub fn prepare(name: &str, count: usize, extra: &[&str]) -> Self {
        let ports: Vec<(u16, u16)> = (0..count).map(|_| (free_port(), free_port())).collect();
        let reached: Vec<u16> = ports.iter().map(|(_, peer)| *peer).collect();
        Self::placed(name, &ports, &reached, extra)
    }

    /// The same with each replica's peer port behind a link.
    pub fn prepare_linked(name: &str, count: usize, extra: &[&str]) -> (Self, Vec<Link>) {
        let ports: Vec<(u16, u16)> = (0..count).map(|_| (free_port(), free_port())).collect();
        let links: Vec<Link> = ports.iter().map(|(_, peer)| Link::to(*peer)).collect();
        let reached: Vec<u16> = links.iter().map(|link| link.port).collect();
        (Self::placed(name, &ports, &reached, extra), links)
    }

    /// Replicas with these client and peer ports; the others reach them at `reached`.
    fn placed(name: &str, ports: &[(u16, u16)], reached: &[u16], extra: &[&str]) -> Self {
        let scratch = Scratch::new(name);
        let names: Vec<_> = reached.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let replicas = ports
            .iter()
            .enumerate()
            .map(|(at, &ports)| {
                let dir = scratch.path().join(format!("node{at}"));
                let mut replica = Replica::at(ports, dir, &names.join(","));
                let own = ["--peer-address", &names[at]];
                replica.extra = own.iter().chain(extra).map(|&arg| arg.to_owned()).collect();
                replica
            })
            .collect();
        Self { replicas, scratch }
    }

    /// Starts `count` replicas and waits until every one of them accepts writes.
    pub fn start(name: &str, count: usize, extra: &[&str]) -> Self {
        let mut cluster = Self::prepare(name, count, extra);
        for replica in &mut cluster.replicas {
            replica.start();
        }
        cluster.wait_writable();
        cluster
    }

    /// Waits until every running replica accepts a write.
    pub fn wait_writable(&mut self) {
        for replica in &mut self.replicas {
            if replica.is_running() {
                until("a replica accepts writes", || replica.accepts_writes().then_some(()));
            }
        }
    }

    /// Position of the leader that a majority of the answering replicas agrees on.
    pub fn leader(&self) -> usize {
        until("a leader", || {
            self.replicas.iter().position(|replica| {
                replica.child.is_some() && replica.info("raft_role").as_deref() == Some("leader")
            })
        })
    }

    /// Takes the leader away, does what is to be done without it, and brings it back. One that is
    /// paused is missed only once another leads.
    pub fn without_leader(&mut self, fault: Fault, meanwhile: &dyn Fn()) {
        let leader = self.leader();
        if fault == Fault::Killed {
            self.replicas[leader].kill();
            meanwhile();
            self.replicas[leader].start();
            return;
        }
        self.replicas[leader].signal(Signal::STOP);
        until("another leads", || {
            let others = (0..self.replicas.len()).filter(|at| *at != leader);
            let mut roles = others.map(|at| self.replicas[at].info("raft_role"));
            roles.any(|role| role.as_deref() == Some("leader")).then_some(())
        });
        meanwhile();
        self.replicas[leader].signal(Signal::CONT);
    }

    /// Waits until all replicas have applied the same entry and returns their (equal) state digest.
    pub fn wait_agreed(&self) -> String {
        until("all replicas have the same digest at the same index", || {
            let seen: Vec<_> = self
                .replicas
                .iter()
                .map(|r| Some((r.info("raft_applied_index")?, r.info("state_digest")?)))
                .collect::<Option<_>>()?;
            let first = seen.first()?.clone();
            seen.iter().all(|other| *other == first).then_some(first.1)
        })
    }

    /// RESP ports.
    pub fn ports(&self) -> Vec<u16> {
        self.replicas.iter().map(|replica| replica.port).collect()
    }
}
