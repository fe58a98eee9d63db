//! `cargo xtask diff`: the differential tester (`tests/tests/differential`) for as long as one
//! likes.
//!
//! The gate runs a slice of it; this names the family, the first seed and the number of commands.
//! They travel in the environment, because the tester is a test.

use crate::built::ALL;
use crate::shell::{Outcome, Shell};

const USAGE: &str = "usage: cargo xtask diff [--restored] [--family NAME] [--seed N] [--commands N]
                        [--trail N]

Commands are those of each family that runs: all of them and `mixed`, unless one is named. Both
sides begin anew after a trail of 300 commands, or of N. The trails' seeds ascend from the first.
Against redis-server, or with --restored against an engine restored from a snapshot.";

/// Runs it; the first difference ends the run and is printed as a transcript.
pub(crate) fn run(shell: &Shell, args: &[String]) -> Outcome {
    let (mut family, mut mode) = (String::new(), "answers_as_redis_does");
    let mut environment = Vec::new();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| USAGE.to_owned());
        match word.as_str() {
            "--restored" => mode = "survives_a_snapshot",
            "--family" => family = format!("{}::", value()?),
            "--seed" => environment.push(format!("QUORATE_DIFF_SEED={}", value()?)),
            "--commands" => environment.push(format!("QUORATE_DIFF_COMMANDS={}", value()?)),
            "--trail" => environment.push(format!("QUORATE_DIFF_TRAIL={}", value()?)),
            _ => return Err(USAGE.to_owned()),
        }
    }
    let filter = format!("{family}{mode}");
    let test = [&["cargo", "test"][..], &ALL, &["--test", "differential", "--"]].concat();
    let environment: Vec<&str> = environment.iter().map(String::as_str).collect();
    shell.run("env", &[&environment[..], &test, &["--nocapture", &filter]].concat())
}
