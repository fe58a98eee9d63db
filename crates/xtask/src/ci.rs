//! The gate: what must hold before a change lands. It reads and never repairs (`fix` does).
//!
//! Steps run in the order of [`STEPS`], cheap and telling ones first; the first failure ends the
//! run, says which step it was and how to repeat it alone. A new step is a row here.

use crate::built::{self, ALL};
use crate::shell::{Outcome, Shell};
use crate::steps::{self, Step};
use crate::{generate, layers, packages, python, tcl, tidy};

const STEPS: &[Step] = &[
    ("packages", &packages::ensure),
    ("fmt", &|shell| shell.cargo(&["fmt", "--all", "--check"])),
    ("tidy", &|shell| tidy::run(shell, &[])),
    ("layers", &layers::run),
    ("gen", &|shell| generate::run(shell.root(), true)),
    ("clippy", &clippy),
    ("unit", &unit),
    ("sim", &simulation),
    ("cluster", &cluster),
    ("tcl", &suite),
];

/// Runs all steps, or those that are named, in the table's order.
pub(crate) fn run(shell: &Shell, names: &[String]) -> Outcome {
    steps::run(shell, "ci", names, STEPS)
}

fn clippy(shell: &Shell) -> Outcome {
    shell.cargo(&[&["clippy"][..], &ALL, &["--all-targets", "--", "-D", "warnings"]].concat())
}

/// Unit and property tests of every room, and the transcripts on the bare engine.
fn unit(shell: &Shell) -> Outcome {
    shell.cargo(&[&["test"][..], &ALL, &["--exclude", "quorate-tests"]].concat())
}

/// Two hundred seeds without a violation; that planted faults are found is a unit test.
fn simulation(shell: &Shell) -> Outcome {
    built::binaries(shell)?;
    let simulation = built::folder(shell).join("examples/sim");
    shell.run(&simulation.to_string_lossy(), &["--seed", "0", "--count", "200"])
}

/// Tests that start real processes: one at a time, or they would time each other out on two cores.
fn cluster(shell: &Shell) -> Outcome {
    built::binaries(shell)?;
    let python = python::ensure(shell)?;
    let python = format!("QUORATE_PYTHON={}", python.display());
    for tests in built::tests(shell, "quorate-tests")? {
        println!("── cluster: {}", tests.name);
        let folder = format!("--chdir={}", tests.folder.display());
        let executable = tests.executable.to_string_lossy();
        let call = [&folder, &python, executable.as_ref(), "--test-threads=1", "--nocapture"];
        shell.run("env", &call)?;
    }
    Ok(())
}

/// Redis's own suite against a cluster of three.
fn suite(shell: &Shell) -> Outcome {
    built::binaries(shell)?;
    tcl::run(shell.root(), Some(&built::folder(shell).join("quorate")), &[])
}
