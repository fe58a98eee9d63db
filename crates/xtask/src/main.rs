//! `cargo xtask …`: the one entrance to Quorate's tools.
//!
//! Each task is a row of [`TASKS`] and a module; a task gets the [`Shell`] and its own arguments,
//! and answers with an error text or nothing. `cargo xtask` alone prints the table. What must hold
//! before a change lands is [`ci`], which only reads; [`fix`] writes.
#![allow(clippy::print_stdout, reason = "a console tool: its output is its purpose")]

mod bench;
mod built;
mod ci;
mod damage;
mod diff;
mod generate;
mod layers;
mod long;
mod packages;
mod python;
mod shell;
mod steps;
mod suites;
mod tcl;
mod tidy;
mod wrap;

use shell::{Outcome, Shell};
use std::path::PathBuf;

/// One word behind `cargo xtask`.
struct Task {
    name: &'static str,
    usage: &'static str,
    summary: &'static str,
    run: fn(&Shell, &[String]) -> Outcome,
}

const TASKS: &[Task] = &[
    Task {
        name: "bench",
        usage: "[OPTION…]",
        summary: "Measures a cluster against redis-server.",
        run: |shell, args| bench::run(shell.root(), args),
    },
    Task {
        name: "ci",
        usage: "[STEP…]",
        summary: "Checks everything that must hold, or the named steps only.",
        run: ci::run,
    },
    Task {
        name: "damage",
        usage: "[--full] [OPTION…]",
        summary: "Damages files of data directories and judges what nodes do.",
        run: damage::run,
    },
    Task {
        name: "diff",
        usage: "[OPTION…]",
        summary: "Compares the engine with redis-server on commands from a seed.",
        run: diff::run,
    },
    Task {
        name: "fix",
        usage: "[FOLDER…]",
        summary: "Formats, wraps comments (or those under FOLDER), regenerates.",
        run: fix,
    },
    Task {
        name: "gen",
        usage: "[--check]",
        summary: "Regenerates what is derived, or tells whether it is fresh.",
        run: generated,
    },
    Task {
        name: "layers",
        usage: "",
        summary: "Compares each room's dependencies with the table.",
        run: |shell, _| layers::run(shell),
    },
    Task {
        name: "long",
        usage: "[--seed N] [STEP…]",
        summary: "Runs what is too long for the gate, with new seeds.",
        run: long::run,
    },
    Task {
        name: "sim",
        usage: "--seed N --count K",
        summary: "Runs the seeded simulation of three replicas.",
        run: simulate,
    },
    Task {
        name: "suites",
        usage: "[OPTION…] [SUITE…]",
        summary: "Runs the test suites of Redis clients against a cluster.",
        run: |shell, args| suites::run(shell, suite_binary(shell, args)?.as_deref(), args),
    },
    Task {
        name: "tcl",
        usage: "[OPTION…] [UNIT…]",
        summary: "Runs Redis's own test suite against a cluster.",
        run: |shell, args| tcl::run(shell.root(), suite_binary(shell, args)?.as_deref(), args),
    },
    Task {
        name: "tidy",
        usage: "[--circles]",
        summary: "Checks the house style as far as a program can.",
        run: tidy::run,
    },
];

fn main() {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_default();
    let rest: Vec<String> = words.collect();
    let outcome = match TASKS.iter().find(|task| task.name == name) {
        Some(task) => (task.run)(&Shell::new(), &rest),
        None => Err(usage()),
    };
    if let Err(text) = outcome {
        eprintln!("{text}");
        std::process::exit(1);
    }
}

fn usage() -> String {
    let row = |task: &Task| {
        let call = format!("{} {}", task.name, task.usage);
        format!("\n  {call:<24} {}", task.summary)
    };
    "usage: cargo xtask TASK".to_owned() + &TASKS.iter().map(row).collect::<String>()
}

fn fix(shell: &Shell, folders: &[String]) -> Outcome {
    generate::run(shell.root(), false)?;
    wrap::run(shell, folders)?;
    shell.cargo(&["fmt", "--all"])
}

fn generated(shell: &Shell, args: &[String]) -> Outcome {
    match args {
        [] => generate::run(shell.root(), false),
        [check] if check == "--check" => generate::run(shell.root(), true),
        _ => Err("usage: cargo xtask gen [--check]".to_owned()),
    }
}

/// Passes its arguments on: also `--loud`, and the planted faults `--leader-restore` and
/// `--skip-vote-sync`.
fn simulate(shell: &Shell, args: &[String]) -> Outcome {
    built::binaries(shell)?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    shell.run(&built::folder(shell).join("examples/sim").to_string_lossy(), &args)
}

/// What a suite runs against: a cluster of a release build (`--debug`: of a debug build, as the
/// gate does), or the server at `--port`.
fn suite_binary(shell: &Shell, args: &[String]) -> Result<Option<PathBuf>, String> {
    let has = |option: &str| args.iter().any(|arg| arg == option);
    if has("--port") {
        Ok(None)
    } else if has("--debug") {
        built::binaries(shell)?;
        Ok(Some(built::folder(shell).join("quorate")))
    } else {
        bench::systems::build(shell.root()).map(Some)
    }
}
