//! Redis's test suite from Debian's source package: fetched once into `target/`, never committed.
//!
//! With `apt` lists and a cache of its own, so that the computer's own stay as they are. What is
//! left out or changed of the suite is said where it is run.

use std::path::{Path, PathBuf};
use std::process::Command;

const ORIGINAL: &str = "redis_7.0.15.orig.tar.gz";

/// The directory of the unpacked source. `QUORATE_REDIS_SOURCE` names one that is there already.
pub(crate) fn fetch(root: &Path) -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("QUORATE_REDIS_SOURCE") {
        return Ok(path.into());
    }
    let dir = root.join("target/redis-source");
    let unpacked = dir.join("redis-7.0.15");
    if unpacked.join("tests/test_helper.tcl").exists() {
        return Ok(unpacked);
    }
    let text = |error: std::io::Error| format!("{}: {error}", dir.display());
    for part in ["lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(dir.join(part)).map_err(text)?;
    }
    std::fs::write(dir.join("src.list"), source_lines()).map_err(text)?;
    // A list and a cache of its own: the machine's package lists stay as they are.
    let apt = |args: &[&str]| {
        let option = |name: &str, path: &str| format!("{name}={}", dir.join(path).display());
        let mut command = Command::new("apt-get");
        command
            .args([
                "-o",
                &option("Dir::Etc::sourcelist", "src.list"),
                "-o",
                "Dir::Etc::sourceparts=-",
            ])
            .args([
                "-o",
                &option("Dir::State::lists", "lists"),
                "-o",
                &option("Dir::Cache", "cache"),
            ])
            .args(["-o", "APT::Sandbox::User=root"])
            .args(args)
            .current_dir(&dir);
        run(command)
    };
    apt(&["update"])?;
    apt(&["source", "--download-only", "redis"])?;
    let mut tar = Command::new("tar");
    tar.args(["xzf", ORIGINAL]).current_dir(&dir);
    run(tar)?;
    Ok(unpacked)
}

/// `deb-src` lines for the mirrors that this machine uses for binary packages.
fn source_lines() -> String {
    let mirror = |name: &str, suite: &str| {
        format!(
            "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/{name} {suite} main\n"
        )
    };
    mirror("debian", "bookworm") + &mirror("debian-security", "bookworm-security")
}

fn run(mut command: Command) -> Result<(), String> {
    let done = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&done.stderr)))
}
