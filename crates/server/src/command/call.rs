//! What a handler gets: the session's state and what all sessions share.
//!
//! Kept apart from the session itself, so that handlers are plain functions that a test can call.

use crate::clients::Peer;
use crate::followers::Announced;
use crate::pubsub::Subscriptions;
use crate::registry::Entry;
use crate::settings::{OutputLimit, Tuned};
use crate::shared::Shared;
use crate::tracking::Tracker;
use crate::transaction::Transaction;
use bytes::BytesMut;
use quorate_engine::Db;
use quorate_resp::Proto;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Which replies a client wants (`CLIENT REPLY`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReplyMode {
    /// All.
    #[default]
    On,
    /// Not the one of the next command.
    Skip,
    /// None until `CLIENT REPLY ON`.
    Off,
}

/// Which reads a client wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Linearizable.
    #[default]
    Exact,
    /// Whatever is applied here (`READONLY`).
    Stale,
}

/// A session's own state.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) peer: Arc<Peer>,
    pub(crate) db: Db,
    pub(crate) proto: Proto,
    pub(crate) authenticated: bool,
    pub(crate) reply_mode: ReplyMode,
    pub(crate) mode: Mode,
    /// Encoded RESP3 attributes to send before the next reply.
    pub(crate) preface: Vec<u8>,
    /// Encoded frames of the present command that go out before its reply, whatever `CLIENT REPLY`
    /// says: one for each channel of a SUBSCRIBE.
    pub(crate) frames: BytesMut,
    /// What it listens to.
    pub(crate) subscriptions: Subscriptions,
    /// What it keeps copies of.
    pub(crate) tracker: Tracker,
    /// Index of the last entry of which its commands know.
    pub(crate) written: u64,
    /// Close once what was answered is sent.
    pub(crate) closing: bool,
    /// What it has said of itself as a replica.
    pub(crate) announced: Announced,
    /// The settings in force when the session last looked.
    pub(crate) tuned: Arc<Tuned>,
    /// What it watches, and has queued since MULTI.
    pub(crate) transaction: Transaction,
}

impl Client {
    /// A client that has just come. It is authenticated when there is no password.
    pub(crate) fn new(peer: Arc<Peer>, shared: &Shared) -> Self {
        let tuned = shared.tuned();
        let mut client = Self {
            subscriptions: Subscriptions::new(&shared.pubsub, &peer),
            tracker: Tracker::new(&shared.tracking, &peer),
            peer,
            db: Db(0),
            proto: Proto::Resp2,
            authenticated: false,
            reply_mode: ReplyMode::On,
            mode: Mode::Exact,
            preface: Vec::new(),
            frames: BytesMut::new(),
            written: 0,
            closing: false,
            announced: Announced::default(),
            tuned,
            transaction: Transaction::default(),
        };
        let open = client.tuned.password.is_none();
        client.set_authenticated(open);
        client
    }

    /// Notes whether the client is known.
    pub(crate) fn set_authenticated(&mut self, authenticated: bool) {
        self.authenticated = authenticated;
        self.peer.authenticated.store(authenticated, Relaxed);
    }

    /// Chooses the database.
    pub(crate) fn select(&mut self, db: Db) {
        self.db = db;
        self.peer.db.store(db.0, Relaxed);
    }

    /// Chooses the protocol.
    pub(crate) fn speak(&mut self, proto: Proto) {
        self.proto = proto;
        self.peer.resp3.store(proto == Proto::Resp3, Relaxed);
    }

    /// Chooses which reads it wants.
    pub(crate) fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
        self.peer.readonly.store(mode == Mode::Stale, Relaxed);
    }

    /// A command of it, if it was one, is done with.
    pub(crate) fn done(&mut self, entry: Option<&Entry>) {
        if !self.transaction.is_open() {
            self.tracker.done(entry);
        }
    }

    /// Whether it may only change what it listens to: a subscriber whose protocol cannot tell a
    /// message from a reply.
    pub(crate) fn is_confined(&self) -> bool {
        self.proto == Proto::Resp2 && self.subscriptions.any()
    }

    /// The limits of what may wait for it.
    pub(crate) fn output_limit(&self) -> OutputLimit {
        if self.subscriptions.any() { self.tuned.output_pubsub } else { self.tuned.output_normal }
    }

    /// Holds whoever pushes something to those limits. To be called when they may have changed.
    pub(crate) fn limit_pushes(&self) {
        let hard = match self.output_limit().hard {
            0 => usize::MAX,
            hard => hard,
        };
        self.peer.set_pushed_max(hard);
    }

    /// Whether the client is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.peer.address.ip().to_canonical().is_loopback()
    }
}

/// One call of a server command.
pub(crate) struct Call<'a> {
    /// What all sessions share.
    pub(crate) shared: &'a Shared,
    /// The session's state.
    pub(crate) client: &'a mut Client,
    /// The command.
    pub(crate) entry: &'static Entry,
}
