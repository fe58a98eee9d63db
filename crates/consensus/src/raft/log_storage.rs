//! openraft's log storage on [`quorate_store::Log`].
//!
//! `append` queues and returns; openraft hears through `IOFlushed` when the entries are durable,
//! and reads them back from the log's tail cache meanwhile. A vote is durable before `save_vote`
//! returns. The committed mark rides along.

use crate::env::Env;
use crate::failure::Failure;
use crate::raft::convert;
use crate::raft::log::RaftLog;
use crate::raft::types::{Config, Entry, LogId, Vote};
use futures::stream::Stream;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use quorate_store::StoreError;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Most entry bytes in one append request. Small enough for several requests in flight, large
/// enough for one batch.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// Most entry bytes read at once for apply.
const APPLY_BYTES_MAX: usize = 4 << 20;

/// The log as openraft sees it; also its reader.
pub(crate) struct Storage<E: Env> {
    log: Arc<RaftLog<E>>,
    /// Without one nothing is refused that Raft wants.
    failure: Option<Arc<Failure>>,
}

impl<E: Env> Clone for Storage<E> {
    fn clone(&self) -> Self {
        Self { log: self.log.clone(), failure: self.failure.clone() }
    }
}

fn io_error(error: StoreError) -> io::Error {
    match error {
        StoreError::Io(error) => error,
        StoreError::Full => io::Error::new(io::ErrorKind::StorageFull, "the disk is full"),
        other => io::Error::other(other.to_string()),
    }
}

fn malformed(what: convert::Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.0)
}

impl<E: Env> Storage<E> {
    pub(crate) fn new(log: Arc<RaftLog<E>>) -> Self {
        Self { log, failure: None }
    }

    /// Where it is told that this replica must not go on.
    pub(crate) fn with_failure(self, failure: Arc<Failure>) -> Self {
        Self { failure: Some(failure), ..self }
    }

    fn read(&self, first: u64, end: u64, bytes_max: usize) -> Result<Vec<Entry>, io::Error> {
        let entries = self.log.entries.read(first, end, bytes_max).map_err(io_error)?;
        let entry = |entry| convert::entry_from_store(entry).map_err(malformed);
        entries.into_iter().map(entry).collect()
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let first = match range.start_bound() {
        Bound::Included(at) => *at,
        Bound::Excluded(at) => at.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(at) => at.saturating_add(1),
        Bound::Excluded(at) => *at,
        Bound::Unbounded => u64::MAX,
    };
    (first, end)
}

impl<E: Env> RaftLogReader<Config<E>> for Storage<E> {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        let (first, end) = bounds(&range);
        self.read(first, end, usize::MAX)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.log.entries.vote().map(convert::vote_from_store))
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        self.read(start, end, REQUEST_BYTES_MAX)
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = Result<Entry, io::Error>> + Send
    where
        RB: RangeBounds<u64> + Clone + Debug + Send,
    {
        let (first, end) = bounds(&range);
        let chunks =
            futures::stream::try_unfold((self.clone(), first), move |(this, at)| async move {
                if at >= end {
                    return Ok::<_, io::Error>(None);
                }
                let entries = this.read(at, end, APPLY_BYTES_MAX)?;
                let Some(last) = entries.last() else { return Ok(None) };
                let next = last.log_id.index + 1;
                Ok(Some((futures::stream::iter(entries.into_iter().map(Ok)), (this, next))))
            });
        futures::TryStreamExt::try_flatten(Box::pin(chunks))
    }
}

impl<E: Env> RaftLogStorage<Config<E>> for Storage<E> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Config<E>>, io::Error> {
        let (purged, last) = self.log.entries.bounds();
        Ok(LogState {
            last_purged_log_id: purged.map(convert::log_id_from_store),
            last_log_id: last.map(convert::log_id_from_store),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let (done, durable) = oneshot::channel();
        let ack = Box::new(move |result| drop(done.send(result)));
        self.log.entries.save_vote(convert::vote_to_store(vote), ack).map_err(io_error)?;
        if self.log.writer.vote_is_durable_at_once() {
            return Ok(());
        }
        self.log.writer.kick();
        durable.await.map_err(|_| io::Error::other("the log writer has stopped"))?
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        match committed {
            Some(id) => {
                self.log.entries.save_committed(convert::log_id_to_store(id)).map_err(io_error)
            }
            None => Ok(()),
        }
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        // Never beyond the last entry, or openraft would look for entries that are not there and
        // refuse to start.
        let (_, last) = self.log.entries.bounds();
        let committed = self.log.entries.committed().filter(|id| Some(*id) <= last);
        Ok(committed.map(convert::log_id_from_store))
    }

    async fn append<I>(
        &mut self,
        entries: I,
        flushed: IOFlushed<Config<E>>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<_> = entries.into_iter().map(convert::entry_to_store).collect();
        let Some(last) = entries.last().map(|entry| entry.id.index) else {
            flushed.io_completed(Ok(()));
            return Ok(());
        };
        let ack = Box::new(move |result| flushed.io_completed(result));
        self.log.entries.append(entries, Some(ack)).map_err(io_error)?;
        self.log.writer.kick();
        self.log.tail.appended(last);
        Ok(())
    }

    async fn truncate_after(&mut self, after: Option<LogId>) -> Result<(), io::Error> {
        let after = after.map(convert::log_id_to_store);
        let committed = self.log.entries.committed().filter(|id| Some(*id) > after);
        if let (Some(committed), Some(failure)) = (committed, &self.failure) {
            // What is committed is applied, and nothing takes it back out of the state. The checks
            // of `trust` come before this one.
            let what = format!(
                "entry {} of term {} was committed here, and the log is to end before it",
                committed.index, committed.term
            );
            failure.diverge(what.clone());
            return Err(io::Error::other(what));
        }
        self.log.entries.truncate_after(after).map_err(io_error)?;
        self.log.tail.truncated(after.map(|id| id.index));
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.log.entries.purge(convert::log_id_to_store(upto)).map_err(io_error)?;
        // Segments go once it is durable, and nothing else may be written for a long time.
        self.log.writer.kick();
        Ok(())
    }
}
