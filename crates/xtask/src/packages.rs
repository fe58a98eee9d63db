//! The Debian packages that the gate's tests drive: a real Redis, its Tcl suite, Python clients.
//!
//! Each is probed by what is needed of it, so any other way to have it is as good. What is missing
//! is installed if we are root (a build container), and named otherwise.

use crate::shell::{Outcome, Shell};
use std::process::{Command, Stdio};

/// A package, and a command that succeeds where it is not needed.
const NEEDED: &[(&str, &[&str])] = &[
    ("redis-server", &["redis-server", "--version"]),
    ("redis-tools", &["redis-benchmark", "--version"]),
    ("prometheus-redis-exporter", &["prometheus-redis-exporter", "-version"]),
    ("node-redis", &["sh", "-c", "NODE_PATH=/usr/share/nodejs node -e 'require(\"redis\")'"]),
    ("php-cli", &["php", "--version"]),
    ("php-redis", &["php", "-r", "new Redis();"]),
    ("ruby-redis", &["ruby", "-e", "require 'redis'"]),
    ("tcl", &["sh", "-c", "echo exit | tclsh"]),
    ("python3-venv", &["python3", "-c", "import ensurepip, venv"]),
    ("gcc", &["cc", "--version"]),
    ("g++", &["c++", "--version"]),
    ("libc6-dev", &["sh", "-c", "echo '#include <stdio.h>' | cc -E -"]),
];

/// Makes sure that all are there.
pub(crate) fn ensure(shell: &Shell) -> Outcome {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if shell.output("id", &["-u"])?.trim() != "0" {
        return Err(format!("missing: {names}; as root: apt-get install {names}"));
    }
    println!("installing {names}");
    let mut install = vec!["DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-qq", "-y"];
    install.push("--no-install-recommends");
    install.extend(&missing);
    shell.run("apt-get", &["update", "-qq"])?;
    shell.run("env", &install)?;
    let still = self::missing();
    if still.is_empty() { Ok(()) } else { Err(format!("still missing: {}", still.join(" "))) }
}

fn missing() -> Vec<&'static str> {
    NEEDED.iter().filter(|(_, probe)| !succeeds(probe)).map(|(package, _)| *package).collect()
}

fn succeeds(probe: &[&str]) -> bool {
    let Some((program, args)) = probe.split_first() else { return false };
    let quiet = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::succeeds;

    #[test]
    fn a_probe_tells_present_from_absent() {
        assert!(succeeds(&["true"]));
        assert!(!succeeds(&["false"]));
        assert!(!succeeds(&["no-such-program-anywhere"]));
        assert!(!succeeds(&[]));
    }
}
