//! `cargo xtask bench links`: what a large value costs on narrow links, and what is served on slow
//! ones.
//!
//! The tables are printed by an example of the black-box tests, which have the links; this builds
//! both programs and runs it. `QUORATE_BIN` names another server to measure.

use super::systems;
use std::path::Path;
use std::process::Command;

/// Runs it; the arguments are the example's.
pub(super) fn run(root: &Path, args: &[String]) -> Result<(), String> {
    let binary = match std::env::var_os("QUORATE_BIN") {
        Some(given) => given.into(),
        None => systems::build(root)?,
    };
    let status = Command::new(env!("CARGO"))
        .args(["run", "--release", "--package", "quorate-tests", "--example", "links", "--"])
        .args(args)
        .env("QUORATE_BIN", binary)
        .current_dir(root)
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the bench of links failed".to_owned()) }
}
