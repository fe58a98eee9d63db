//! Serving a replica of Redis: a snapshot, and behind it the stream of what is applied here.
//!
//! The stream goes out as the replica takes it; what it does not take waits in the feed, which is
//! bounded. The replica says every second how far it is; it is sent a `PING` now and then, as from
//! Redis, so that it knows this node to be alive. Settings are those at the time it came. It can
//! never go on where it was: whoever was cut off gets everything anew.

use super::Session;
use super::intake::Intake;
use crate::backend::Backend;
use crate::clients::{FINISH, KILL};
use crate::followers::Follower;
use crate::settings::OutputLimit;
use bytes::{Buf as _, Bytes};
use quorate_consensus::{Feed, FeedEnd};
use quorate_resp::{Args, parse_int};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
/// How often limits are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Bytes that wait for a replica at most, when the setting names no limit.
const WAITING_BYTES_MAX: u64 = 256 << 20;
/// Places of the stream whose log entry is remembered until the replica has them.
const MARKS_MAX: usize = 1024;

/// Bytes that a replica's feed holds at most.
pub(super) fn waiting_max(limit: OutputLimit) -> u64 {
    if limit.hard == 0 { WAITING_BYTES_MAX } else { limit.hard as u64 }
}

/// Why a stream ended.
#[derive(Debug)]
enum End {
    /// The replica went, or this side was told to close.
    Gone(&'static str),
    Feed(FeedEnd),
    /// It has taken too little for too long.
    Slow(u64),
    Silent,
}

/// What happens next.
enum Event {
    Signals(u8),
    Piece(Result<(u64, Bytes), FeedEnd>),
    Sent(std::io::Result<usize>),
    Read(std::io::Result<usize>),
    Ping,
    Look,
}

/// The stream of one replica.
struct Following {
    feed: Feed,
    follower: Arc<Follower>,
    /// What is being sent: whole commands, of which a part may be gone.
    sending: Bytes,
    /// Ends of pieces, and the last log entry in each.
    marks: VecDeque<(u64, u64)>,
    limit: OutputLimit,
    over_soft_since: Option<Instant>,
    /// Seconds for which it may be silent.
    silence_max_s: u64,
    /// Whether it acknowledges at all: one that asked with SYNC need not.
    acknowledges: bool,
}

impl<B: Backend> Session<B> {
    /// Sends the stream until it ends; then the connection is of no use any more.
    pub(super) async fn follow(&mut self, feed: Feed, follower: &Arc<Follower>, with_acks: bool) {
        let limit = self.client.tuned.output_replica;
        let mut following = Following {
            feed,
            follower: Arc::clone(follower),
            sending: Bytes::new(),
            marks: VecDeque::new(),
            limit,
            over_soft_since: None,
            silence_max_s: self.client.tuned.replica_silence_s,
            acknowledges: with_acks,
        };
        follower.note_heard();
        let end = self.stream_to(&mut following).await;
        self.client.closing = true;
        self.output.clear();
        let address = self.client.peer.address;
        let (sent, acked) = (follower.sent.load(Relaxed), follower.acked.load(Relaxed));
        let why = match end {
            End::Gone(why) => {
                tracing::info!(%address, why, sent, acked, "a replica follows no longer");
                return;
            }
            End::Feed(why) => why.to_string(),
            End::Slow(waiting) => {
                format!("{waiting} bytes waited for it for {} s", limit.seconds)
            }
            End::Silent => format!("it was silent for {} s", following.silence_max_s),
        };
        self.shared.followers.cut.fetch_add(1, Relaxed);
        if matches!(end, End::Slow(_) | End::Feed(FeedEnd::Behind(_))) {
            self.shared.stats.output_limit_closed.fetch_add(1, Relaxed);
        }
        tracing::warn!(%address, why, sent, acked,
            "closing a replica, which has to begin anew with a snapshot");
    }

    async fn stream_to(&mut self, following: &mut Following) -> End {
        let mut ping = every(Duration::from_secs(self.client.tuned.replica_ping_s));
        let mut look = every(LOOK_EVERY);
        loop {
            let peer = &self.client.peer;
            let signalled = std::future::poll_fn(|_| match peer.take_signals() {
                0 => Poll::Pending,
                signals => Poll::Ready(signals),
            });
            let (mut reader, mut writer) = self.stream.split();
            let rests = following.sending.is_empty();
            let event = tokio::select! {
                signals = signalled => Event::Signals(signals),
                piece = following.feed.next(), if rests => Event::Piece(piece),
                sent = writer.write_buf(&mut following.sending), if !rests => Event::Sent(sent),
                read = reader.read_buf(self.intake.room()) => Event::Read(read),
                _ = ping.tick(), if rests => Event::Ping,
                _ = look.tick() => Event::Look,
            };
            if let Some(end) = self.handle(following, event) {
                return end;
            }
        }
    }

    fn handle(&mut self, following: &mut Following, event: Event) -> Option<End> {
        let stats = &self.shared.stats;
        match event {
            Event::Signals(signals) if signals & (KILL | FINISH) != 0 => {
                return Some(End::Gone("this side closes"));
            }
            Event::Signals(_) => {}
            Event::Piece(Err(why)) => return Some(End::Feed(why)),
            Event::Piece(Ok((index, bytes))) => following.begin(index, bytes),
            Event::Sent(Ok(sent @ 1..)) => {
                stats.bytes_out.fetch_add(sent as u64, Relaxed);
                stats.socket_writes.fetch_add(1, Relaxed);
                following.follower.sent.fetch_add(sent as u64, Relaxed);
            }
            Event::Read(Ok(got @ 1..)) => {
                stats.bytes_in.fetch_add(got as u64, Relaxed);
                stats.socket_reads.fetch_add(1, Relaxed);
                following.follower.note_heard();
                return following.hear(&mut self.intake);
            }
            Event::Sent(_) | Event::Read(_) => return Some(End::Gone("the replica has closed")),
            Event::Ping => following.sending = Bytes::from_static(PING),
            Event::Look => {
                following.publish();
                return following.over_limit();
            }
        }
        None
    }
}

/// Ticks that begin a period from now.
fn every(period: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

impl Following {
    /// A piece goes out next.
    fn begin(&mut self, index: u64, bytes: Bytes) {
        let end = self.follower.sent.load(Relaxed) + bytes.len() as u64;
        if self.marks.len() >= MARKS_MAX {
            // Fewer places are told apart then; each still is one that the replica has passed.
            let mut keep = false;
            self.marks.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.marks.push_back((end, index));
        self.sending = bytes;
    }

    /// Takes what the replica says: how far it is. Anything else is passed over.
    fn hear(&mut self, intake: &mut Intake) -> Option<End> {
        loop {
            match intake.next() {
                Ok(Some(_)) => {
                    self.acknowledged(intake.args());
                    intake.consume();
                }
                Ok(None) => break,
                Err(_) => return Some(End::Gone("what the replica sends makes no sense")),
            }
        }
        intake.compact();
        None
    }

    fn acknowledged(&mut self, args: Args<'_>) {
        let is = |at: usize, word: &[u8]| args.at(at).eq_ignore_ascii_case(word);
        if !(is(0, b"REPLCONF") && is(1, b"ACK")) {
            return;
        }
        let Some(acked) = parse_int(args.at(2)).and_then(|acked| u64::try_from(acked).ok()) else {
            return;
        };
        let follower = &self.follower;
        self.acknowledges = true;
        follower.online.store(true, Relaxed);
        follower.acked.store(acked, Relaxed);
        while let Some(&(end, index)) = self.marks.front()
            && end <= acked
        {
            follower.index.fetch_max(index, Relaxed);
            self.marks.pop_front();
        }
        self.publish();
    }

    /// Shows how it stands.
    fn publish(&self) {
        let follower = &self.follower;
        // In this order: what is told in between is still waiting, or counted as sent.
        let index = self.feed.index();
        let waiting = self.feed.waiting() + self.sending.remaining() as u64;
        let has_all = follower.acked.load(Relaxed) == follower.sent.load(Relaxed);
        if waiting == 0 && has_all && follower.online.load(Relaxed) {
            // Entries that changed nothing left nothing to be acknowledged.
            follower.index.fetch_max(index, Relaxed);
        }
        follower.waiting.store(waiting, Relaxed);
        follower.peer.active_ms.store(follower.peer.since.elapsed().as_millis() as u64, Relaxed);
    }

    /// Whether it is to be given up.
    fn over_limit(&mut self) -> Option<End> {
        if let Some(why) = self.feed.end() {
            return Some(End::Feed(why));
        }
        if self.acknowledges && self.follower.silent_ms() / 1000 >= self.silence_max_s {
            return Some(End::Silent);
        }
        let waiting = self.follower.waiting.load(Relaxed);
        if self.limit.soft == 0 || waiting <= self.limit.soft as u64 {
            self.over_soft_since = None;
            return None;
        }
        let since = *self.over_soft_since.get_or_insert_with(Instant::now);
        (since.elapsed().as_secs() >= self.limit.seconds).then_some(End::Slow(waiting))
    }
}
