//! `cargo xtask damage`: trials of damaged data directories (`tests/src/damage.rs`), a sample of
//! which the gate runs as a test.
//!
//! The server is `QUORATE_BIN`, or a release build made for this.

use crate::bench::systems;
use crate::shell::{Outcome, Shell};

/// Builds the server unless one is named, and passes the arguments on.
pub(crate) fn run(shell: &Shell, args: &[String]) -> Outcome {
    let binary = match std::env::var_os("QUORATE_BIN") {
        Some(path) => path.into(),
        None => systems::build(shell.root())?,
    };
    let binary = format!("QUORATE_BIN={}", binary.display());
    let call = ["cargo", "run", "--quiet", "--package", "quorate-tests", "--locked"];
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let example = ["--example", "damage", "--"];
    shell.run("env", &[&[binary.as_str()], &call[..], &example, &args].concat())
}
