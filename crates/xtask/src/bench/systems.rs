//! The systems that are compared, as processes on loopback, and the CPU time they have used.
//!
//! Started in a directory of their own and ended with the value that holds them; what they are
//! asked is `drive`'s.

use super::drive;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// One system: one or three processes. Ended when dropped.
pub(crate) struct System {
    /// `quorate-3`, `quorate-1`, `redis-always`, `redis-none`.
    pub(crate) name: &'static str,
    processes: Vec<Process>,
}

/// Builds the release binary.
pub(crate) fn build(root: &Path) -> Result<PathBuf, String> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--package", "quorate"])
        .current_dir(root)
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !status.success() {
        return Err("the release build failed".to_owned());
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("release/quorate"))
}

/// One server process.
struct Process {
    child: Child,
    port: u16,
    /// How it was started, to start it again.
    command: Command,
}

impl System {
    /// Starts all four, each in its own directory below `scratch`.
    pub(crate) fn start_all(binary: &Path, scratch: &Path) -> Result<Vec<Self>, String> {
        Ok(vec![
            Self::quorate("quorate-3", binary, &scratch.join("three"), 3)?,
            Self::quorate("quorate-1", binary, &scratch.join("one"), 1)?,
            Self::redis("redis-always", &scratch.join("always"), true)?,
            Self::redis("redis-none", &scratch.join("none"), false)?,
        ])
    }

    /// A Quorate cluster with fsync on, as it comes.
    pub(crate) fn quorate(
        name: &'static str,
        binary: &Path,
        dir: &Path,
        nodes: usize,
    ) -> Result<Self, String> {
        Self::quorate_with(name, binary, dir, nodes, &[])
    }

    /// A Quorate cluster with fsync on and further arguments.
    pub(crate) fn quorate_with(
        name: &'static str,
        binary: &Path,
        dir: &Path,
        nodes: usize,
        extra: &[&str],
    ) -> Result<Self, String> {
        let ports: Vec<(u16, u16)> =
            (0..nodes).map(|_| Ok((free_port()?, free_port()?))).collect::<Result<_, String>>()?;
        let peers =
            ports.iter().map(|(_, peer)| format!("127.0.0.1:{peer}")).collect::<Vec<_>>().join(",");
        let mut system = Self { name, processes: Vec::new() };
        for (at, (port, peer_port)) in ports.iter().enumerate() {
            let home = dir.join(format!("node{at}"));
            let mut command = Command::new(binary);
            command
                .args(["server", "--bind", "127.0.0.1", "--port", &port.to_string()])
                .args([
                    "--peer-port",
                    &peer_port.to_string(),
                    "--peers",
                    &peers,
                    "--loglevel",
                    "warning",
                    "--dir",
                ])
                .arg(&home)
                .args(extra);
            system.spawn(command, *port, &home)?;
        }
        system.wait("a leader", |system| {
            system
                .processes
                .iter()
                .any(|process| drive::info(process.port, "raft_role").as_deref() == Some("leader"))
        })?;
        Ok(system)
    }

    /// A stock Redis, with `appendfsync always` or with no persistence.
    pub(crate) fn redis(name: &'static str, dir: &Path, always: bool) -> Result<Self, String> {
        let port = free_port()?;
        let mut system = Self { name, processes: Vec::new() };
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"])
            .arg(dir)
            .args(["--auto-aof-rewrite-percentage", "0"]);
        if always {
            command.args(["--appendonly", "yes", "--appendfsync", "always"]);
        }
        system.spawn(command, port, dir)?;
        system.wait("redis-server", |_| drive::info(port, "redis_version").is_some())?;
        Ok(system)
    }

    fn spawn(&mut self, mut command: Command, port: u16, home: &Path) -> Result<(), String> {
        let text = |error: std::io::Error| format!("{}: {error}", self.name);
        std::fs::create_dir_all(home).map_err(text)?;
        let log = std::fs::File::create(home.with_extension("log")).map_err(text)?;
        let error_log = log.try_clone().map_err(text)?;
        let child =
            command.stdin(Stdio::null()).stdout(log).stderr(error_log).spawn().map_err(text)?;
        self.processes.push(Process { child, port, command });
        Ok(())
    }

    fn wait(&self, what: &str, ready: impl Fn(&Self) -> bool) -> Result<(), String> {
        let start = Instant::now();
        while !ready(self) {
            if start.elapsed() > Duration::from_mins(2) {
                return Err(format!("{}: gave up waiting for {what}", self.name));
            }
            #[allow(clippy::disallowed_methods, reason = "polls another process while it starts")]
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Whether this is a stock Redis.
    pub(crate) fn is_redis(&self) -> bool {
        self.name.starts_with("redis")
    }

    fn kill(&mut self) {
        for process in &mut self.processes {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }

    /// Kills all processes and starts them again on their data; the time from the start to the
    /// first answered read of a key that [`drive::load`] made.
    pub(crate) fn restart(&mut self, port: u16) -> Result<Duration, String> {
        self.kill();
        let start = Instant::now();
        for process in &mut self.processes {
            let child = process.command.spawn();
            process.child = child.map_err(|error| format!("{}: {error}", self.name))?;
        }
        let get = b"*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n";
        self.wait("its data", |_| drive::call(port, get).is_ok_and(|said| said.starts_with('$')))?;
        Ok(start.elapsed())
    }

    /// The port to drive: the leader's.
    pub(crate) fn target(&self) -> u16 {
        let leads = |port: &u16| drive::info(*port, "raft_role").as_deref() == Some("leader");
        let ports = self.ports();
        ports.iter().copied().find(leads).or(ports.first().copied()).unwrap_or(0)
    }

    /// The ports of all its nodes.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.processes.iter().map(|process| process.port).collect()
    }

    /// The port of a node that does not lead.
    pub(crate) fn follower(&self) -> u16 {
        let leader = self.target();
        let mut ports = self.processes.iter().map(|process| process.port);
        ports.find(|port| *port != leader).unwrap_or(leader)
    }

    /// User and system time of all its processes so far, in seconds.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, String> {
        let mut ticks = 0.0;
        for process in &self.processes {
            let path = format!("/proc/{}/stat", process.child.id());
            let stat = std::fs::read_to_string(&path)
                .map_err(|error| format!("{} died: {error}", self.name))?;
            // proc(5): fields 14 and 15, counted behind the parenthesised name, which may hold
            // spaces.
            let behind = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            ticks += behind
                .split_whitespace()
                .skip(11)
                .take(2)
                .filter_map(|f| f.parse::<f64>().ok())
                .sum::<f64>();
        }
        Ok(ticks / CLOCK_TICKS_PER_SECOND)
    }

    /// Resident memory of each of its processes, in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<Vec<u64>, String> {
        self.processes
            .iter()
            .map(|process| {
                let path = format!("/proc/{}/status", process.child.id());
                let status = std::fs::read_to_string(&path)
                    .map_err(|error| format!("{} died: {error}", self.name))?;
                let line =
                    status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
                let kibibytes: u64 =
                    line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
                Ok(kibibytes * 1024)
            })
            .collect()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `sysconf(_SC_CLK_TCK)` on every Linux this runs on.
const CLOCK_TICKS_PER_SECOND: f64 = 100.0;

fn free_port() -> Result<u16, String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}
