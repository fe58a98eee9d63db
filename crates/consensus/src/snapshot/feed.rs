//! Replicas from outside: what is applied here, told in commands of Redis 7.0, behind a snapshot.
//!
//! A feed is attached first and the snapshot's cut logged then, so every entry behind the cut is
//! told; those up to it, which the snapshot holds, are dropped from the feed. Apply tells while
//! anybody is attached, and never waits for one of them: what a feed holds is bounded, and at the
//! bound the feed ends. It also ends where this replica's state is replaced by a snapshot of the
//! leader's, since nobody can tell what changed between the two.

use crate::lock::lock;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// What is told of small entries is handed on in pieces of this size when it has to wait.
const PIECE_BYTES: usize = 64 << 10;

/// Why a feed ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeedEnd {
    /// More bytes than this were waiting.
    Behind(u64),
    /// This replica took over a snapshot of the leader's, as of this entry.
    Replaced(u64),
}

impl fmt::Display for FeedEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Behind(bytes) => write!(f, "it is behind: more than {bytes} bytes waited for it"),
            Self::Replaced(index) => write!(
                f,
                "this node was itself behind and took over a snapshot of the leader's (entry \
                 {index})"
            ),
        }
    }
}

/// All feeds of a replica.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    count: AtomicUsize,
    pipes: Mutex<Vec<Arc<Pipe>>>,
}

/// What waits for one follower.
#[derive(Debug)]
struct Pipe {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug)]
struct State {
    /// Whole pieces, each with the last entry in it.
    queue: VecDeque<(u64, Bytes)>,
    /// The piece that small entries are still added to, and the last of them.
    open: (u64, BytesMut),
    /// Of both.
    bytes: u64,
    bytes_max: u64,
    /// The last entry that was told, or that changed nothing.
    index: u64,
    end: Option<FeedEnd>,
}

impl State {
    fn seal(&mut self) {
        if !self.open.1.is_empty() {
            let (last, bytes) = std::mem::take(&mut self.open);
            self.queue.push_back((last, bytes.freeze()));
        }
    }

    fn push(&mut self, index: u64, told: &Bytes) {
        self.index = index;
        if self.end.is_some() || told.is_empty() {
            return;
        }
        let bytes = self.bytes.saturating_add(told.len() as u64);
        if bytes > self.bytes_max {
            return self.finish(FeedEnd::Behind(self.bytes_max));
        }
        self.bytes = bytes;
        if self.open.1.len() + told.len() > PIECE_BYTES {
            self.seal();
        }
        if told.len() > PIECE_BYTES / 2 {
            self.seal();
            return self.queue.push_back((index, told.clone()));
        }
        if self.open.1.is_empty() && !self.queue.is_empty() {
            // It will be filled: grown by doubling, it would take twice what it holds.
            self.open.1 = BytesMut::with_capacity(PIECE_BYTES);
        }
        self.open.1.extend_from_slice(told);
        self.open.0 = index;
    }

    fn finish(&mut self, why: FeedEnd) {
        self.end = Some(why);
        self.queue = VecDeque::new();
        self.open = <(u64, BytesMut)>::default();
        self.bytes = 0;
    }

    fn pop(&mut self) -> Option<(u64, Bytes)> {
        if self.queue.is_empty() {
            self.seal();
        }
        let (last, bytes) = self.queue.pop_front()?;
        self.bytes -= bytes.len() as u64;
        Some((last, bytes))
    }
}

impl Feeds {
    /// Whether anybody is to be told.
    pub(crate) fn any(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    /// Begins a feed that holds so many bytes at most.
    pub(crate) fn attach(self: &Arc<Self>, bytes_max: u64) -> Feed {
        let state = State {
            queue: VecDeque::new(),
            open: <(u64, BytesMut)>::default(),
            bytes: 0,
            bytes_max,
            index: 0,
            end: None,
        };
        let pipe = Arc::new(Pipe { state: Mutex::new(state), news: Notify::new() });
        let mut pipes = lock(&self.pipes);
        pipes.push(pipe.clone());
        self.count.store(pipes.len(), Ordering::Release);
        drop(pipes);
        Feed { pipe, all: self.clone() }
    }

    /// Tells what an entry did. Called by apply alone, in the order of the log.
    pub(crate) fn tell(&self, index: u64, told: &Bytes) {
        self.each(|state| state.push(index, told));
    }

    /// A snapshot as of the last entry is about to be taken: no piece holds what is before and what
    /// is behind it.
    pub(crate) fn part(&self) {
        if self.any() {
            self.each(State::seal);
        }
    }

    /// Ends all feeds.
    pub(crate) fn end(&self, why: FeedEnd) {
        self.each(|state| state.finish(why));
    }

    fn each(&self, mut work: impl FnMut(&mut State)) {
        for pipe in lock(&self.pipes).iter() {
            work(&mut lock(&pipe.state));
            pipe.news.notify_one();
        }
    }
}

/// What is applied at this node from a snapshot on, for one replica from outside. Whoever drops it
/// is told no more.
#[derive(Debug)]
pub struct Feed {
    pipe: Arc<Pipe>,
    all: Arc<Feeds>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut pipes = lock(&self.all.pipes);
        pipes.retain(|pipe| !Arc::ptr_eq(pipe, &self.pipe));
        self.all.count.store(pipes.len(), Ordering::Release);
    }
}

impl Feed {
    /// The next piece, and the last entry in it: whole commands of Redis 7.0 that begin with
    /// `SELECT`. What is not awaited to the end is not lost.
    pub async fn next(&mut self) -> Result<(u64, Bytes), FeedEnd> {
        loop {
            {
                let mut state = lock(&self.pipe.state);
                if let Some(why) = state.end {
                    return Err(why);
                }
                if let Some(piece) = state.pop() {
                    return Ok(piece);
                }
            }
            self.pipe.news.notified().await;
        }
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> u64 {
        lock(&self.pipe.state).bytes
    }

    /// The last entry that was told, or that changed nothing.
    pub fn index(&self) -> u64 {
        lock(&self.pipe.state).index
    }

    /// Whether it is over, and why.
    pub fn end(&self) -> Option<FeedEnd> {
        lock(&self.pipe.state).end
    }

    /// The follower has everything up to this entry.
    pub(crate) fn begin(&self, index: u64) {
        let mut state = lock(&self.pipe.state);
        state.seal();
        while state.queue.front().is_some_and(|(last, _)| *last <= index) {
            state.pop();
        }
        state.index = state.index.max(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn told(feeds: &Feeds, from: u64, count: u64, bytes: usize) {
        for index in from..from + count {
            feeds.tell(index, &Bytes::from(vec![b'0' + (index % 10) as u8; bytes]));
        }
    }

    fn all(feed: &mut Feed) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(Ok((_, piece))) = feed.next().now_or_never() {
            bytes.extend_from_slice(&piece);
        }
        bytes
    }

    #[test]
    fn a_feed_begins_behind_its_snapshot() {
        let feeds = Arc::<Feeds>::default();
        assert!(!feeds.any());
        let mut feed = feeds.attach(1 << 20);
        assert!(feeds.any());
        told(&feeds, 3, 2, 2);
        feeds.part();
        told(&feeds, 5, 2, 2);
        feed.begin(4);
        assert_eq!((feed.waiting(), feed.index()), (4, 6));
        assert_eq!(all(&mut feed), b"5566");
        feeds.tell(7, &Bytes::new());
        assert_eq!((all(&mut feed).len(), feed.index()), (0, 7));
        drop(feed);
        assert!(!feeds.any());
    }

    #[test]
    fn large_and_small_entries_keep_their_order() {
        let feeds = Arc::<Feeds>::default();
        let mut feed = feeds.attach(1 << 30);
        let mut expected = Vec::new();
        for (index, bytes) in [10, 100_000, 10, 40_000, 30_000, 30_000, 1].into_iter().enumerate() {
            told(&feeds, index as u64, 1, bytes);
            expected.extend(vec![b'0' + index as u8; bytes]);
        }
        assert_eq!(feed.waiting(), expected.len() as u64);
        assert!(all(&mut feed) == expected);
        assert_eq!(feed.waiting(), 0);
    }

    #[test]
    fn at_the_bound_a_feed_ends_and_holds_nothing() {
        let feeds = Arc::<Feeds>::default();
        let (mut slow, mut quick) = (feeds.attach(1000), feeds.attach(5000));
        told(&feeds, 1, 30, 100);
        assert_eq!(slow.next().now_or_never(), Some(Err(FeedEnd::Behind(1000))));
        assert_eq!((slow.waiting(), slow.end()), (0, Some(FeedEnd::Behind(1000))));
        assert_eq!(all(&mut quick).len(), 3000);
        feeds.end(FeedEnd::Replaced(31));
        assert_eq!(quick.next().now_or_never(), Some(Err(FeedEnd::Replaced(31))));
    }
}
