//! Reading the newest snapshot again now and then: one that rotted is better replaced before
//! somebody needs it. It is read beside the event loop, and a damaged one is noted so that it is
//! never sent.

use crate::env::Env;
use crate::group::Group;
use crate::snapshot::transfer::replace_damaged;
use quorate_store::StoreError;
use std::time::Duration;

/// How often it is read.
const EVERY: Duration = Duration::from_hours(6);

/// Runs until this replica stops.
pub(crate) async fn run<E: Env>(group: Group<E>) {
    while !group.is_closed() {
        E::sleep(EVERY).await;
        let files = group.snapshots.files.clone();
        let Some(file) = files.newest() else { continue };
        let path = file.path.clone();
        let env = &group.process.env;
        match env.heavy(move || files.reader(&file)?.verify(0, &mut |_| ())).await {
            Ok(_) => {}
            Err(StoreError::Corrupt(_)) => {
                replace_damaged(&group.transfers, &group.writes, (&path, env.elapsed()));
            }
            Err(error) => tracing::warn!(%error, path, "a snapshot cannot be read"),
        }
    }
}
