//! What a session needs of a replica: a seam with two implementations.
//!
//! The one that counts is [`Node`], Raft and all. The other lives in the tests and applies directly
//! to an engine in this process, so that the whole client surface is tested on real sockets without
//! a cluster.

use quorate_consensus::{
    Answer, Backup, Feed, HandOverError, KeyspaceGuard, Kill, Message, NoSnapshot, Node, ReadError,
    RunningScript, Status,
};
use quorate_engine::{Db, Keyspace, Run};
use std::future::Future;
use std::ops::Deref;
use std::time::Duration;

/// A replica as sessions see it. Clones share it.
pub(crate) trait Backend: Clone + Send + Sync + 'static {
    /// Shared access to the applied state; never held across an `await`.
    type Guard<'a>: Deref<Target = Keyspace>
    where
        Self: 'a;

    /// A session that waits.
    type Waits: Waits;

    /// Hands over a run with at least one write.
    fn submit(&self, run: Run) -> impl Future<Output = Answer> + Send;
    /// A session begins to wait with this run, which is one command that waits.
    fn wait(&self, run: Run) -> Self::Waits;
    /// Whether the log may hold what a feature level brings, or may in a moment.
    fn allows(&self, level: u32) -> impl Future<Output = bool> + Send;
    /// Whether the data set is larger than `maxmemory`, as far as is known here.
    fn is_over_memory(&self) -> bool;
    /// Ends the script, or the function, that runs at the leader.
    fn kill_script(&self, function: bool) -> impl Future<Output = Kill> + Send;
    /// How long the script has run that runs here, if one does.
    fn script_age(&self) -> Option<Duration>;
    /// That script.
    fn script(&self) -> Option<RunningScript>;
    /// Sends a client's message to whoever listens, on every node; how many those are, as far as is
    /// known.
    fn publish(&self, message: Message) -> impl Future<Output = u64> + Send;
    /// Resolves when what is published on other nodes comes to those who listen here.
    fn announced(&self) -> impl Future<Output = ()> + Send;
    /// Resolves when an entry is applied here, or after a second.
    fn applied(&self, index: u64) -> impl Future<Output = ()> + Send;
    /// A linearizable view.
    fn read(&self) -> impl Future<Output = Result<Self::Guard<'_>, ReadError>> + Send;
    /// Whatever is applied here now.
    fn peek(&self) -> impl Future<Output = Self::Guard<'_>> + Send;
    /// Flips a bit of a value of this replica alone (`DEBUG FLIP-BIT`); false if there is none.
    fn flip_bit(&self, db: Db, key: &[u8], bit: u64) -> impl Future<Output = bool> + Send;
    /// The leader's clock as known here, Unix milliseconds; 0 when nothing was heard of one.
    fn clock_ms(&self) -> u64;
    /// Figures.
    fn status(&self) -> Status;
    /// Whether this replica has its state and knows a leader.
    fn is_ready(&self) -> bool;
    /// Whether the state is being loaded: most commands wait for it.
    fn is_loading(&self) -> bool;
    /// Takes a snapshot; its log index, or why not.
    fn snapshot(&self) -> impl Future<Output = Result<u64, NoSnapshot>> + Send;
    /// Takes a snapshot to be sent to somebody.
    fn backup(&self) -> impl Future<Output = Result<Backup, NoSnapshot>> + Send;
    /// Takes a snapshot for a replica from outside, and tells what is applied behind it; so many
    /// bytes of that wait at most.
    fn follow(
        &self,
        bytes_max: u64,
    ) -> impl Future<Output = Result<(Backup, Feed), NoSnapshot>> + Send;
    /// Hands leadership to another voter, if this replica leads: to the one at this address, or to
    /// any.
    fn hand_over(&self, to: Option<&str>)
    -> impl Future<Output = Result<(), HandOverError>> + Send;
}

/// A session that waits until there is something for it. Dropped, it waits no longer, and what
/// comes for it nevertheless is given back.
pub(crate) trait Waits: Send {
    /// What it is answered. May be dropped and asked again.
    fn answer(&mut self) -> impl Future<Output = Answer> + Send;
    /// It waits no longer: what came before that, if anything did.
    fn give_up(self) -> impl Future<Output = Option<Answer>> + Send;
}

impl Waits for quorate_consensus::Waits {
    fn answer(&mut self) -> impl Future<Output = Answer> + Send {
        Self::answer(self)
    }

    fn give_up(self) -> impl Future<Output = Option<Answer>> + Send {
        Self::give_up(self)
    }
}

impl Backend for Node {
    type Guard<'a> = KeyspaceGuard<'a>;
    type Waits = quorate_consensus::Waits;

    async fn submit(&self, run: Run) -> Answer {
        // A dropped sender means that the outcome was lost on the way, not that nothing happened.
        Self::submit(self, run).await.unwrap_or(Answer::Uncertain)
    }

    fn wait(&self, run: Run) -> quorate_consensus::Waits {
        Self::wait(self, run)
    }

    fn allows(&self, level: u32) -> impl Future<Output = bool> + Send {
        Self::allows(self, level)
    }

    fn is_over_memory(&self) -> bool {
        Self::is_over_memory(self)
    }

    fn kill_script(&self, function: bool) -> impl Future<Output = Kill> + Send {
        Self::kill_script(self, function)
    }

    fn script_age(&self) -> Option<Duration> {
        Self::script_age(self)
    }

    fn script(&self) -> Option<RunningScript> {
        Self::script(self)
    }

    fn publish(&self, message: Message) -> impl Future<Output = u64> + Send {
        Self::publish(self, message)
    }

    fn announced(&self) -> impl Future<Output = ()> + Send {
        Self::announced(self)
    }

    async fn applied(&self, index: u64) {
        Self::applied(self, index).await;
    }

    fn read(&self) -> impl Future<Output = Result<Self::Guard<'_>, ReadError>> + Send {
        Self::read(self)
    }

    fn peek(&self) -> impl Future<Output = Self::Guard<'_>> + Send {
        Self::peek(self)
    }

    async fn flip_bit(&self, db: Db, key: &[u8], bit: u64) -> bool {
        Self::flip_bit(self, db, key, bit).await
    }

    fn clock_ms(&self) -> u64 {
        Self::clock_ms(self)
    }

    fn status(&self) -> Status {
        Self::status(self)
    }

    fn is_ready(&self) -> bool {
        Self::is_ready(self)
    }

    fn is_loading(&self) -> bool {
        Self::is_loading(self)
    }

    fn snapshot(&self) -> impl Future<Output = Result<u64, NoSnapshot>> + Send {
        Self::snapshot(self)
    }

    fn backup(&self) -> impl Future<Output = Result<Backup, NoSnapshot>> + Send {
        Self::backup(self)
    }

    fn follow(
        &self,
        bytes_max: u64,
    ) -> impl Future<Output = Result<(Backup, Feed), NoSnapshot>> + Send {
        Self::follow(self, bytes_max)
    }

    fn hand_over(
        &self,
        to: Option<&str>,
    ) -> impl Future<Output = Result<(), HandOverError>> + Send {
        Self::hand_over(self, to)
    }
}
