//! What the simulation holds, and that it would notice.

use super::cluster::Cluster;
use super::env::SimEnv;
use super::rt::SimRt;
use super::{Faults, run};
use crate::bus::audience::Audience;
use crate::raft::log_storage::Storage;
use crate::raft::state_machine::StateMachine;
use crate::raft::types::Types;
use crate::replica::assembly::{Parts, assemble};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{AsyncRuntime, StorageError};

#[test]
fn a_few_seeds_pass() {
    for seed in 0..5 {
        let report = run(seed, Faults::default()).unwrap_or_else(|violation| {
            let trace = violation.trace.join("\n");
            panic!("{trace}\nseed {}: {}", violation.seed, violation.what)
        });
        assert!(report.operations.0 > 100, "seed {seed}: {:?}", report.operations);
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let first = run(7, Faults::default()).map_err(|violation| violation.what);
    let second = run(7, Faults::default()).map_err(|violation| violation.what);
    assert_eq!(first, second);
}

/// Gives openraft's suite a fresh replica's storage for each of its tests, all of one cluster: it
/// carries snapshots from one to another.
struct Fresh;

impl StoreBuilder<Types<SimRt>, Storage<SimEnv>, StateMachine<SimEnv>> for Fresh {
    async fn build(
        &self,
    ) -> Result<((), Storage<SimEnv>, StateMachine<SimEnv>), StorageError<Types<SimRt>>> {
        let (env, disk, settings) = Cluster::lone(1).expect("nothing runs on a new host");
        let storage = Cluster::open(disk).expect("an empty disk opens");
        let parts = assemble(env, settings, storage, Audience::default()).await;
        let Parts { storage, machine, .. } = parts.expect("an empty directory loads");
        Ok(((), storage, machine))
    }
}

#[test]
fn the_log_passes_openrafts_suite() {
    let suite = Suite::test_all(Fresh);
    let result = SimRt::with_seed(1).block_on(suite);
    assert!(result.is_ok(), "{result:?}");
}

/// The first seed at which a planted fault is found.
fn found_within(seeds: u64, faults: Faults) -> Option<u64> {
    let found = (0..seeds).find(|seed| run(*seed, faults).is_err());
    eprintln!("found by seed {found:?}");
    found
}

#[test]
fn a_leader_that_resumes_its_term_is_found() {
    let found = found_within(200, Faults { leader_restore: true, ..Faults::default() });
    assert!(found.is_some());
}

#[test]
fn a_rehearsal_that_is_not_undone_is_found() {
    let found = found_within(200, Faults { keep_rehearsal: true, ..Faults::default() });
    assert!(found.is_some());
}

#[test]
fn a_watch_that_is_compared_with_an_old_state_is_found() {
    let found = found_within(200, Faults { watch_here: true, ..Faults::default() });
    assert!(found.is_some());
}

#[test]
fn a_waiter_that_registers_too_early_is_found() {
    let found = found_within(400, Faults { skip_wait_barrier: true, ..Faults::default() });
    assert!(found.is_some());
}

#[test]
fn a_waiter_that_is_served_twice_is_found() {
    let found = found_within(400, Faults { forget_served: true, ..Faults::default() });
    assert!(found.is_some());
}

#[test]
fn an_element_that_is_kept_for_nobody_is_found() {
    let found = found_within(400, Faults { keep_for_nobody: true, ..Faults::default() });
    assert!(found.is_some());
}

#[test]
fn a_vote_that_is_not_synced_is_found() {
    let found = found_within(200, Faults { skip_vote_sync: true, ..Faults::default() });
    assert!(found.is_some());
}
