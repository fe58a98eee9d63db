//! Snapshots that somebody asks for: by name, as a backup, or to follow what
//! is applied behind it. Each logs a cut, which all replicas take, and waits
//! for this replica's own snapshot of it.

use crate::env::Env;
use crate::replica::Replica;
use crate::snapshot::backup::Backup;
use crate::snapshot::error::NoSnapshot;
use crate::snapshot::feed::Feed;
use crate::write::queue::Work;
use std::time::Duration;

/// How often it is looked whether a snapshot that somebody else wanted is finished.
const SAVING_POLL: Duration = Duration::from_millis(50);

impl<E: Env> Replica<E> {
    /// Has the leader log a cut and waits for this replica's snapshot of it. The error says why
    /// there is none.
    pub(crate) async fn snapshot(&self) -> Result<u64, NoSnapshot> {
        let group = &self.group;
        let cut = group.writes.queue.ask(Work::Cut, group.process.env.elapsed());
        let index = match cut.await {
            Ok(Ok(index)) => index,
            Ok(Err(why)) => return Err(NoSnapshot::NoCut(why)),
            Err(_) => return Err(NoSnapshot::Stopping),
        };
        group.keyspace.applied.reached(index).await;
        loop {
            // In this order: one that is finished in between is kept.
            let taking = group.snapshots.saving.is_at(index);
            if group.snapshots.newest().0 >= index {
                return Ok(index);
            }
            taking?;
            E::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Makes a snapshot and opens it, verified.
    pub(crate) async fn backup(&self) -> Result<Backup, NoSnapshot> {
        self.backup_as_of().await.map(|(backup, _)| backup)
    }

    /// The same, with the last entry in it.
    async fn backup_as_of(&self) -> Result<(Backup, u64), NoSnapshot> {
        self.snapshot().await?;
        Backup::open(&self.group.process.env, &self.group.snapshots.files).await
    }

    /// A snapshot, and what is applied behind it. So many bytes at most wait in the feed.
    pub(crate) async fn follow(&self, bytes_max: u64) -> Result<(Backup, Feed), NoSnapshot> {
        loop {
            self.await_snapshotter().await;
            // In this order: the cut is logged when everything is told.
            let feed = self.group.keyspace.feeds.attach(bytes_max);
            match self.backup_as_of().await {
                Ok((backup, index)) => {
                    feed.begin(index);
                    return Ok((backup, feed));
                }
                Err(NoSnapshot::Already) => {}
                Err(why) => return Err(why),
            }
        }
    }

    /// Waits until no snapshot is being taken.
    async fn await_snapshotter(&self) {
        while self.group.snapshots.saving.is_busy() && !self.group.is_closed() {
            E::sleep(SAVING_POLL).await;
        }
    }
}
