//! Who is connected: what CLIENT LIST shows, and the means to reach a session from outside.
//!
//! A session publishes its figures here once a batch with relaxed stores. Others reach it
//! by [`Peer::signal`]: a bit set and the task woken; the session looks at the bits whenever it
//! waits for its socket.

use bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU16, AtomicU64, AtomicUsize, Ordering,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use Ordering::{AcqRel, Acquire, Relaxed};

/// Close the connection as soon as the session looks.
pub(crate) const KILL: u8 = 1;
/// Give idle buffers back.
pub(crate) const SHRINK: u8 = 1 << 1;
/// Something lies in the outbox.
pub(crate) const PUSH: u8 = 1 << 2;
/// Finish what is there, then close.
pub(crate) const FINISH: u8 = 1 << 3;
/// Close it as one that does not take what is pushed to it.
pub(crate) const OVERFLOW: u8 = 1 << 4;
/// It waits no longer, as if its time were over,
pub(crate) const UNBLOCK: u8 = 1 << 5;
/// or with an error.
pub(crate) const UNBLOCK_ERROR: u8 = 1 << 6;

/// It keeps copies of keys.
pub(crate) const TRACKS: u8 = 1;
/// Whoever is to be told of them in its place is gone.
pub(crate) const BROKEN: u8 = 1 << 1;
/// It is told of all keys with certain prefixes.
pub(crate) const BROADCASTS: u8 = 1 << 2;

/// Bytes that may wait for a client to which something is pushed before its session has looked at
/// the limits of its class; beyond it the client is closed.
const PUSHED_BYTES_MAX: usize = 32 << 20;
/// A pushed piece of so many bytes is sent as it lies, shared with all who get it; smaller ones are
/// copied behind one another.
const SHARED_BYTES: usize = 16 << 10;
/// Bytes counted for a pushed piece besides its own.
const PIECE_BYTES: usize = 64;

/// Names a client gave itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) name: String,
    pub(crate) library: String,
    pub(crate) version: String,
}

/// Bytes that a session holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held {
    /// Taken for requests that wait or have come in part.
    pub(crate) input: usize,
    /// Of commands that are being carried out.
    pub(crate) run: usize,
    /// Taken for replies.
    pub(crate) output: usize,
    /// For what it listens to.
    pub(crate) subscriptions: usize,
}

/// What others left for a session, in order.
#[derive(Debug, Default)]
struct Outbox {
    pieces: VecDeque<Bytes>,
    /// It overflowed: nothing is taken any more.
    closed: bool,
}

/// One connected client, as everybody may see it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) id: u64,
    pub(crate) address: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) fd: i32,
    pub(crate) since: Instant,
    pub(crate) names: Mutex<Names>,
    pub(crate) authenticated: AtomicBool,
    pub(crate) monitor: AtomicBool,
    /// It follows as a replica.
    pub(crate) replica: AtomicBool,
    pub(crate) no_evict: AtomicBool,
    pub(crate) no_touch: AtomicBool,
    pub(crate) resp3: AtomicBool,
    pub(crate) readonly: AtomicBool,
    /// It waits, until there is something for it or its time is over.
    pub(crate) blocked: AtomicBool,
    /// It waits for the end of a pause.
    pub(crate) postponed: AtomicBool,
    /// How many channels, patterns and channels of shards it listens to.
    pub(crate) subscriptions: [AtomicUsize; 3],
    /// How it keeps copies of keys: `TRACKS` and what goes with it.
    pub(crate) tracking: AtomicU8,
    /// The client that is told of them in its place; 0: itself.
    pub(crate) redirect: AtomicU64,
    /// It has said that it goes.
    pub(crate) leaving: AtomicBool,
    pub(crate) db: AtomicU8,
    /// Commands queued since MULTI; -1 without it.
    pub(crate) queued: AtomicI64,
    /// Registry id of the last command; `u16::MAX` before the first.
    pub(crate) command: AtomicU16,
    /// Milliseconds from `since` to the last batch.
    pub(crate) active_ms: AtomicU64,
    /// Milliseconds from `since` to when it is closed unless the rest of a command that is too
    /// large has come; 0 while there is none.
    pub(crate) skip_until_ms: AtomicU64,
    /// Bytes that wait to be read as commands, and to be sent.
    pub(crate) input: AtomicUsize,
    pub(crate) output: AtomicUsize,
    held_input: AtomicUsize,
    held_run: AtomicUsize,
    held_output: AtomicUsize,
    held_subscriptions: AtomicUsize,
    /// Bytes in the outbox, and with what waits in the session at most.
    pushed: AtomicUsize,
    pushed_max: AtomicUsize,
    /// Set when it is closed for what it holds, which is then counted no more.
    pub(crate) evicted: AtomicBool,
    signals: AtomicU8,
    waker: Mutex<Option<Waker>>,
    outbox: Mutex<Outbox>,
    /// Whether its socket is closed.
    gone: tokio::sync::watch::Sender<bool>,
}

impl Peer {
    fn new(id: u64, address: SocketAddr, local: SocketAddr, fd: i32) -> Self {
        Self {
            id,
            address,
            local,
            fd,
            since: Instant::now(),
            names: Mutex::default(),
            authenticated: AtomicBool::new(false),
            monitor: AtomicBool::new(false),
            replica: AtomicBool::new(false),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            resp3: AtomicBool::new(false),
            readonly: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            postponed: AtomicBool::new(false),
            subscriptions: Default::default(),
            tracking: AtomicU8::new(0),
            redirect: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            db: AtomicU8::new(0),
            queued: AtomicI64::new(-1),
            command: AtomicU16::new(u16::MAX),
            active_ms: AtomicU64::new(0),
            skip_until_ms: AtomicU64::new(0),
            input: AtomicUsize::new(0),
            output: AtomicUsize::new(0),
            held_input: AtomicUsize::new(0),
            held_run: AtomicUsize::new(0),
            held_output: AtomicUsize::new(0),
            held_subscriptions: AtomicUsize::new(0),
            pushed: AtomicUsize::new(0),
            pushed_max: AtomicUsize::new(PUSHED_BYTES_MAX),
            evicted: AtomicBool::new(false),
            signals: AtomicU8::new(0),
            waker: Mutex::default(),
            outbox: Mutex::default(),
            gone: tokio::sync::watch::Sender::new(false),
        }
    }

    /// Names for reading and changing.
    pub(crate) fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets a bit and wakes the session.
    pub(crate) fn signal(&self, bit: u8) {
        if self.signals.fetch_or(bit, AcqRel) & bit != 0 {
            // Whoever set it has woken the session, which has not looked since.
            return;
        }
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The session's side: takes what was signalled. One load when there is nothing.
    pub(crate) fn take_signals(&self) -> u8 {
        if self.signals.load(Acquire) == 0 { 0 } else { self.signals.swap(0, AcqRel) }
    }

    /// The session's side: whom to wake. A task's wakers are equal, so once is enough.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
    }

    /// Leaves bytes for the session to send between replies. A client that has too much waiting
    /// already is closed instead, and what waits is dropped at once.
    pub(crate) fn push(&self, bytes: Bytes) {
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        if outbox.closed {
            return;
        }
        let pushed = self.pushed.load(Relaxed) + bytes.len() + PIECE_BYTES;
        let waiting = self.output.load(Relaxed).saturating_add(pushed);
        let full = waiting > self.pushed_max.load(Relaxed);
        if full {
            *outbox = Outbox { closed: true, ..Outbox::default() };
        } else {
            outbox.pieces.push_back(bytes);
        }
        self.pushed.store(if full { 0 } else { pushed }, Relaxed);
        drop(outbox);
        self.signal(if full { OVERFLOW } else { PUSH });
    }

    /// Bytes that were left for the session. One load.
    pub(crate) fn pushed(&self) -> usize {
        self.pushed.load(Relaxed)
    }

    /// The session's side: so many bytes may wait for it.
    pub(crate) fn set_pushed_max(&self, bytes: usize) {
        self.pushed_max.store(bytes, Relaxed);
    }

    /// The session's side: takes what was left, in order, until there are so many bytes. A large
    /// piece comes alone, when there is nothing before it.
    pub(crate) fn take_pushed(&self, into: &mut BytesMut, most: usize) -> Bytes {
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pushed = self.pushed.load(Relaxed);
        let mut alone = Bytes::new();
        while into.len() < most
            && let Some(piece) = outbox.pieces.pop_front()
        {
            if piece.len() < SHARED_BYTES {
                into.extend_from_slice(&piece);
            } else if into.is_empty() {
                alone = piece.clone();
            } else {
                outbox.pieces.push_front(piece);
                break;
            }
            pushed -= piece.len() + PIECE_BYTES;
            if !alone.is_empty() {
                break;
            }
        }
        self.pushed.store(pushed, Relaxed);
        alone
    }

    /// What the session holds, as it showed last; what others left for it counts as replies.
    pub(crate) fn held(&self) -> Held {
        Held {
            input: self.held_input.load(Relaxed),
            run: self.held_run.load(Relaxed),
            output: self.held_output.load(Relaxed) + self.pushed.load(Relaxed),
            subscriptions: self.held_subscriptions.load(Relaxed),
        }
    }

    /// Bytes that the client takes in all.
    pub(crate) fn bytes(&self) -> usize {
        let Held { input, run, output, subscriptions } = self.held();
        size_of::<Self>() + input + run + output + subscriptions
    }

    /// The session's side: its socket is closed.
    pub(crate) fn set_gone(&self) {
        self.gone.send_replace(true);
    }

    /// Whether its socket is closed, or will be as soon as its replies are sent.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Relaxed) || *self.gone.borrow()
    }

    /// Waits until its socket is closed.
    pub(crate) async fn wait_gone(&self) {
        // The sender is a part of this.
        let _ = self.gone.subscribe().wait_for(|gone| *gone).await;
    }

    /// Seconds since the last batch.
    pub(crate) fn idle_s(&self) -> u64 {
        let now_ms = self.since.elapsed().as_millis() as u64;
        now_ms.saturating_sub(self.active_ms.load(Relaxed)) / 1000
    }

    /// Whether it listens to anything.
    pub(crate) fn is_subscriber(&self) -> bool {
        self.subscriptions.iter().any(|count| count.load(Relaxed) > 0)
    }

    /// Whether it waits for something that others do.
    pub(crate) fn is_held_up(&self) -> bool {
        self.blocked.load(Relaxed) || self.postponed.load(Relaxed)
    }

    /// `N`ormal, `S` a replica, m`O`nitor, `P` a subscriber, `x` within MULTI, `b`locked, `t`racks
    /// keys, `R` for somebody who is gone, `B`y prefixes, `e` no-evict, `T` no-touch, `r`eadonly.
    fn flags(&self) -> String {
        let tracking = self.tracking.load(Relaxed);
        let bits = [
            (self.replica.load(Relaxed), 'S'),
            (self.monitor.load(Relaxed), 'O'),
            (self.is_subscriber(), 'P'),
            (self.queued.load(Relaxed) >= 0, 'x'),
            (self.is_held_up(), 'b'),
            (tracking & TRACKS != 0, 't'),
            (tracking & BROKEN != 0, 'R'),
            (tracking & BROADCASTS != 0, 'B'),
            (self.no_evict.load(Relaxed), 'e'),
            (self.no_touch.load(Relaxed), 'T'),
            (self.readonly.load(Relaxed), 'r'),
        ];
        let text: String = bits.iter().filter_map(|(bit, letter)| bit.then_some(*letter)).collect();
        if text.is_empty() { "N".to_owned() } else { text }
    }

    /// Who is told of keys in its place; 0: nobody, -1: it keeps no copies.
    pub(crate) fn redirected(&self) -> i64 {
        let tracks = self.tracking.load(Relaxed) & TRACKS != 0;
        if tracks { self.redirect.load(Relaxed) as i64 } else { -1 }
    }

    /// The line of CLIENT LIST, in Redis's form.
    pub(crate) fn line(&self, command: &str) -> String {
        let names = self.names().clone();
        let held = self.held();
        let input = self.input.load(Relaxed);
        let output = self.output.load(Relaxed) + self.pushed();
        let [sub, psub, ssub] = &self.subscriptions;
        let [sub, psub, ssub] = [sub, psub, ssub].map(|count| count.load(Relaxed));
        let mut text = String::with_capacity(320);
        let _ = write!(
            text,
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={sub} \
             psub={psub} ssub={ssub} multi={} qbuf={input} qbuf-free={} argv-mem={} \
             multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem={output} tot-mem={} events=r cmd={} \
             user=default redir={} resp={} lib-name={} lib-ver={}",
            self.id,
            self.address,
            self.local,
            self.fd,
            names.name,
            self.since.elapsed().as_secs(),
            self.idle_s(),
            self.flags(),
            self.db.load(Relaxed),
            self.queued.load(Relaxed),
            held.input.saturating_sub(input),
            held.run,
            self.bytes(),
            if command.is_empty() { "NULL" } else { command },
            self.redirected(),
            if self.resp3.load(Relaxed) { 3 } else { 2 },
            names.library,
            names.version,
        );
        text
    }
}

/// All connected clients.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    peers: Mutex<BTreeMap<u64, Arc<Peer>>>,
    next_id: AtomicU64,
    count: AtomicUsize,
    monitors: AtomicUsize,
    /// Bytes that all of them hold.
    bytes: AtomicUsize,
    /// Bytes above which those that hold most are closed; 0 is no limit.
    bytes_max: AtomicUsize,
    /// Most at once since the start.
    pub(crate) peak: AtomicUsize,
}

impl Clients {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Peer>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a client. Ids rise and are never reused.
    pub(crate) fn add(&self, address: SocketAddr, local: SocketAddr, fd: i32) -> Arc<Peer> {
        let id = self.next_id.fetch_add(1, Relaxed) + 1;
        let peer = Arc::new(Peer::new(id, address, local, fd));
        self.lock().insert(id, Arc::clone(&peer));
        let count = self.count.fetch_add(1, Relaxed) + 1;
        self.peak.fetch_max(count, Relaxed);
        peer
    }

    /// Removes a client whose session ended.
    pub(crate) fn remove(&self, peer: &Peer) {
        self.set_monitor(peer, false);
        self.note(peer, Held::default());
        if self.lock().remove(&peer.id).is_some() {
            self.count.fetch_sub(1, Relaxed);
        }
    }

    /// Notes what a client holds; true if all of them hold too much.
    pub(crate) fn hold(&self, peer: &Peer, held: Held) -> bool {
        !peer.evicted.load(Relaxed) && self.note(peer, held)
    }

    fn note(&self, peer: &Peer, held: Held) -> bool {
        let now = held.input + held.run + held.output + held.subscriptions;
        // Swapped, since whoever closes a client for what it holds writes here beside its session:
        // the sum stays that of the figures.
        let put = |figure: &AtomicUsize, bytes: usize| figure.swap(bytes, Relaxed);
        let before = put(&peer.held_input, held.input)
            + put(&peer.held_run, held.run)
            + put(&peer.held_output, held.output)
            + put(&peer.held_subscriptions, held.subscriptions);
        if now <= before {
            if now < before {
                self.bytes.fetch_sub(before - now, Relaxed);
            }
            return false;
        }
        let most = self.bytes_max.load(Relaxed);
        self.bytes.fetch_add(now - before, Relaxed) + (now - before) > most && most > 0
    }

    /// Marks a client as one that is closed for what it holds.
    pub(crate) fn give_up(&self, peer: &Peer) {
        peer.evicted.store(true, Relaxed);
        self.note(peer, Held::default());
        peer.signal(KILL);
    }

    /// Bytes that they may hold at most; 0 is no limit.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max.load(Relaxed)
    }

    /// Sets that.
    pub(crate) fn set_bytes_max(&self, bytes: usize) {
        self.bytes_max.store(bytes, Relaxed);
    }

    /// Bytes that all of them take.
    pub(crate) fn bytes(&self) -> usize {
        self.all().iter().map(|peer| peer.bytes()).sum()
    }

    /// Turns a client into a monitor, or back.
    pub(crate) fn set_monitor(&self, peer: &Peer, monitor: bool) {
        match (peer.monitor.swap(monitor, Relaxed), monitor) {
            (false, true) => _ = self.monitors.fetch_add(1, Relaxed),
            (true, false) => _ = self.monitors.fetch_sub(1, Relaxed),
            _ => {}
        }
    }

    /// Whether anybody monitors.
    pub(crate) fn any_monitor(&self) -> bool {
        self.monitors.load(Relaxed) > 0
    }

    /// How many are connected.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// How many of them are not authenticated. Counted on demand: only asked when a password is
    /// set.
    pub(crate) fn unauthenticated(&self) -> usize {
        self.lock().values().filter(|peer| !peer.authenticated.load(Relaxed)).count()
    }

    /// All of them, by rising id.
    pub(crate) fn all(&self) -> Vec<Arc<Peer>> {
        self.lock().values().cloned().collect()
    }

    /// The client with this id.
    pub(crate) fn get(&self, id: u64) -> Option<Arc<Peer>> {
        self.lock().get(&id).cloned()
    }
}
