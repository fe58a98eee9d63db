//! Files of a data directory are deleted, emptied, cut, zeroed, put back to an older state, and
//! have bits flipped: no acknowledged write is silently gone, whatever it was.
//!
//! A sample of what `cargo xtask damage --full` runs.

use quorate_tests::cluster::Scratch;
use quorate_tests::damage::run::{Plan, run};
use quorate_tests::damage::table::report;
use quorate_tests::damage::{Extent, Mode};

/// A failure can be repeated with `--seed 1`, and to the byte with the directories that it keeps.
const SEED: u64 = 1;

fn check(mode: Mode, extent: Extent) {
    let scratch = Scratch::new("damage");
    let outcomes = run(&Plan { mode, extent, seed: SEED, only: None }, scratch.path());
    let text = report(&outcomes);
    eprintln!("{text}");
    assert!(outcomes.len() > 30, "only {} cases were made", outcomes.len());
    assert!(outcomes.iter().all(|one| !one.verdict.is_failure()), "see the end of the table");
}

#[test]
fn a_damaged_node_alone_serves_everything_or_refuses() {
    check(Mode::Alone, Extent::SAMPLE);
}

#[test]
fn a_damaged_node_without_its_old_log_serves_everything_or_refuses() {
    check(Mode::Purged, Extent::FEW);
}

#[test]
fn a_damaged_member_costs_the_cluster_nothing() {
    check(Mode::Member, Extent::FEW);
}
