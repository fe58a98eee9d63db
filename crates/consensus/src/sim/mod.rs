//! The simulation: three replicas, the real consensus, store and engine code, on a virtual clock,
//! from one seed.
//!
//! Disks lose what was not synced at a crash, the network delays, cuts and breaks, wall clocks are
//! seconds apart. Clients count, set and lock meanwhile, and every answer they get is checked at
//! once: acknowledged is durable, reads are linearizable, a lock is never held twice. After each
//! step there is one leader a term and one digest an index. In the end everything heals, and all
//! replicas must agree and serve again. The same seed gives the same trace.

#[cfg(test)]
mod bus_tests;
#[cfg(test)]
mod changes_tests;
pub(crate) mod check;
pub(crate) mod clients;
pub(crate) mod cluster;
mod damage;
#[cfg(test)]
mod damage_tests;
mod env;
mod faults;
#[cfg(test)]
mod leadership_tests;
#[cfg(test)]
mod link_tests;
mod net;
mod queue;
pub(crate) mod rt;
#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod space_tests;
#[cfg(test)]
mod tests;

use check::{Checks, Wrong};
use cluster::Cluster;
use openraft::AsyncRuntime;
use std::sync::Arc;
use std::time::Duration;

/// What is broken on purpose, to show that it is caught.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "faults are planted one by one")]
pub struct Faults {
    /// A restarted leader resumes its term (openraft's default).
    pub leader_restore: bool,
    /// Votes are called durable before they are synced.
    pub skip_vote_sync: bool,
    /// A log that was made just now takes the name that `facts/` has.
    pub trust_facts: bool,
    /// Where a log has lost its end, it has lost its foot as well.
    pub lose_foot: bool,
    /// What the leader sends is not compared with what is applied.
    pub skip_contradiction: bool,
    /// Starts are counted, but not told apart.
    pub skip_start: bool,
    /// Replicas do not compare what they hold.
    pub skip_comparison: bool,
    /// What was rehearsed is not undone.
    pub keep_rehearsal: bool,
    /// What was watched is compared by the replica that received EXEC, with what it has applied.
    pub watch_here: bool,
    /// Who waits registers with the next leader before it has heard of what the last one served.
    pub skip_wait_barrier: bool,
    /// The leader does not remember whom it has served.
    pub forget_served: bool,
    /// What comes for a session that is gone is lost.
    pub keep_for_nobody: bool,
}

impl Faults {
    /// Whether only those who wait can show what is broken: then nothing else is done.
    fn is_of_waiting(self) -> bool {
        self.skip_wait_barrier || self.forget_served || self.keep_for_nobody
    }
}

/// What a run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Writes acknowledged, reads answered, answers that said uncertain.
    pub operations: (u64, u64, u64),
    /// Crashes of single replicas and of all.
    pub crashes: u64,
    /// Terms that had a leader.
    pub terms: u64,
    /// Snapshots sent, and how many of them went on where another one broke.
    pub snapshots: (u64, u64),
    /// What happened, one line each; equal for equal seeds.
    pub trace: Vec<String>,
}

/// What went wrong, and what had happened before.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The seed that repeats it.
    pub seed: u64,
    /// What went wrong.
    pub what: String,
    /// What had happened.
    pub trace: Vec<String>,
}

/// Runs one seed. Panics only where the code under test does.
pub fn run(seed: u64, faults: Faults) -> Result<Report, Violation> {
    play(seed, faults, Checks::new(false))
}

/// As [`run`], printing what happens as it happens.
pub fn run_loud(seed: u64, faults: Faults) -> Result<Report, Violation> {
    play(seed, faults, Checks::new(true))
}

fn play(seed: u64, faults: Faults, checks: Checks) -> Result<Report, Violation> {
    let mut runtime = rt::SimRt::with_seed(seed);
    let checks = Arc::new(checks);
    let outcome = runtime.block_on(drama(seed, faults, checks.clone()));
    let trace = checks.trace();
    match outcome.and_then(|()| checks.verdict()) {
        Ok(()) => Ok(Report { trace, ..checks.report() }),
        Err(what) => Err(Violation { seed, what: what.to_string(), trace }),
    }
}

/// Beginning, trouble, healing, judgement.
async fn drama(seed: u64, faults: Faults, checks: Arc<Checks>) -> Result<(), Wrong> {
    let cluster = Cluster::new(seed, faults, checks.clone());
    cluster.found().await?;
    cluster.set_stone().await;
    let clients = clients::start(&cluster, seed);
    faults::trouble(&cluster, seed).await?;
    cluster.heal().await?;
    // Some undisturbed work, then the clients end.
    rt::SimRt::sleep(Duration::from_secs(1)).await;
    clients.end().await;
    checks.verdict()?;
    checks.sent(&cluster.net.snapshots());
    cluster.judge().await
}
