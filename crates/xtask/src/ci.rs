//! The gate: what must hold before a change lands. It reads and never repairs (`fix` does).
//!
//! Steps run in the order of [`STEPS`], cheap and telling ones first; the first failure ends the
//! run, says which step it was and how to repeat it alone. A new step is a row here.

use crate::shell::{Outcome, Shell};
use crate::{generate, layers, packages, python, tcl, tidy};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// One step of the gate.
struct Step {
    name: &'static str,
    run: fn(&Shell) -> Outcome,
}

const STEPS: &[Step] = &[
    Step { name: "packages", run: packages::ensure },
    Step { name: "fmt", run: |shell| shell.cargo(&["fmt", "--all", "--check"]) },
    Step { name: "tidy", run: |shell| tidy::run(shell, &[]) },
    Step { name: "layers", run: layers::run },
    Step { name: "gen", run: |shell| generate::run(shell.root(), true) },
    Step { name: "clippy", run: clippy },
    Step { name: "unit", run: unit },
    Step { name: "sim", run: simulation },
    Step { name: "cluster", run: cluster },
    Step { name: "tcl", run: suite },
];

/// Runs all steps, or those that are named, in the table's order.
pub(crate) fn run(shell: &Shell, names: &[String]) -> Outcome {
    let known = |name: &String| STEPS.iter().any(|step| step.name == name);
    if let Some(name) = names.iter().find(|name| !known(name)) {
        let all: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        return Err(format!("no step `{name}`; steps: {}", all.join(", ")));
    }
    let chosen = |step: &&Step| names.is_empty() || names.iter().any(|name| name == step.name);
    let mut times = Vec::new();
    for step in STEPS.iter().filter(chosen) {
        println!("── {}", step.name);
        let start = Instant::now();
        let outcome = (step.run)(shell);
        times.push((step.name, start.elapsed()));
        if let Err(why) = outcome {
            print_times(&times);
            let name = step.name;
            return Err(format!("{why}\n\nci: step `{name}` failed; alone: cargo xtask ci {name}"));
        }
    }
    print_times(&times);
    println!("ci: all steps passed");
    Ok(())
}

fn print_times(times: &[(&str, Duration)]) {
    println!();
    for (name, time) in times {
        println!("{name:<12} {:>8.1} s", time.as_secs_f64());
    }
}

fn clippy(shell: &Shell) -> Outcome {
    shell.cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
}

/// Unit and property tests of every room, and the transcripts on the bare engine.
fn unit(shell: &Shell) -> Outcome {
    shell.cargo(&["test", "--workspace", "--exclude", "quorate-tests", "--locked"])
}

/// Two hundred seeds without a violation; that planted faults are found is a unit test.
fn simulation(shell: &Shell) -> Outcome {
    let call = ["run", "--package", "quorate-consensus", "--features", "sim", "--locked"];
    let seeds = ["--example", "sim", "--", "--seed", "0", "--count", "200"];
    shell.cargo(&[&call[..], &seeds[..]].concat())
}

/// Tests that start real processes: one at a time, or they would time each other out on two cores.
fn cluster(shell: &Shell) -> Outcome {
    shell.cargo(&["build", "--package", "quorate", "--locked"])?;
    let python = python::ensure(shell)?;
    let python = format!("QUORATE_PYTHON={}", python.display());
    let test = ["cargo", "test", "--package", "quorate-tests", "--locked", "--"];
    let flags = ["--test-threads=1", "--nocapture"];
    shell.run("env", &[&[python.as_str()], &test[..], &flags[..]].concat())
}

/// Redis's own suite against a cluster of three.
fn suite(shell: &Shell) -> Outcome {
    tcl::run(shell.root(), Some(&debug_binary(shell)), &[])
}

/// The binary that step `cluster` builds.
pub(crate) fn debug_binary(shell: &Shell) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| shell.root().join("target"), PathBuf::from);
    target.join("debug/quorate")
}
