//! A stock `redis-server`, as a judge: it opens a copy of a data directory, or answers what is
//! compared with us.

use crate::client::Client;
use crate::port::free_port;
use crate::wait::until;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running `redis-server`; ended when dropped.
#[derive(Debug)]
pub struct Redis {
    child: Child,
    /// Its port.
    pub port: u16,
}

impl Redis {
    /// Starts it in `dir` with further arguments and waits until it has loaded its data.
    pub fn start(dir: &Path, args: &[&str]) -> Self {
        let port = free_port();
        let log = std::fs::File::create(dir.join("redis.log")).expect("a file can be made");
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
            .args(["--enable-debug-command", "yes"])
            .arg("--dir")
            .arg(dir)
            .args(args)
            .stdin(Stdio::null())
            .stdout(log)
            .spawn()
            .expect("redis-server is installed");
        let mut redis = Self { child, port };
        until("redis-server has loaded", || {
            if let Ok(Some(status)) = redis.child.try_wait() {
                let said = std::fs::read_to_string(dir.join("redis.log")).unwrap_or_default();
                panic!("redis-server ended with {status}: {said}");
            }
            let answer =
                Client::connect(port, Duration::from_secs(5)).ok()?.call(&["PING"]).ok()?;
            matches!(answer, quorate_resp::Value::Simple(_)).then_some(())
        });
        redis
    }

    /// Starts it in `dir` on a Unix socket there as well, `dir/socket`, which is quicker than TCP.
    pub fn with_socket(dir: &Path, args: &[&str]) -> (Self, PathBuf) {
        let path = dir.join("socket");
        let shown = path.display().to_string();
        (Self::start(dir, &[&["--unixsocket", &shown], args].concat()), path)
    }

    /// Starts it on the append-only file in `dir/appendonlydir` that Quorate wrote.
    pub fn on_our_log(dir: &Path) -> Self {
        Self::start(
            dir,
            &[
                "--appendonly",
                "yes",
                "--appendfilename",
                "quorate.aof",
                "--appenddirname",
                "appendonlydir",
            ],
        )
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
