//! Telling a replica of Redis 7.0 what an entry did.
//!
//! A replica applies what it is sent as a client's commands, by its own clock and with its own
//! random numbers. So a record of the log goes as it stands only if Redis makes exactly the same of
//! it; of any other its *effect* goes, in commands of Redis 7.0: members that were popped by name,
//! deliveries of streams as claims, and where nothing better is known the whole value (`RESTORE`),
//! or that it is gone. What changed nothing is not told at all.
//!
//! The teller listens while an entry is applied ([`crate::apply_told`]); without one, apply is
//! compiled without any of this. Limits: a field's deadline has no place in Redis 7.0, so it gets
//! the field's end when it comes; when a consumer was last seen is the replica's own time.

use super::payload::{Decoded, Payload};
use crate::cmd::told;
use crate::{Db, Flags, Reader, Spec};
use alloc::vec::Vec;
use bytes::Bytes;
use quorate_resp::{Args, Reply, int_text};

/// Elements that one command names: more than one for each is worth it, and few enough for the
/// replica to serve its clients in between.
const NAMES_MAX: usize = 512;

/// A command of the log while it is applied.
#[derive(Clone, Copy)]
pub(crate) struct Applying<'a> {
    pub(crate) spec: &'static Spec,
    pub(crate) found: &'a Decoded<'a>,
    pub(crate) args: Args<'a>,
}

/// Somebody who is told of records while they are applied.
pub(crate) trait Listener {
    /// The record comes next.
    fn before(&mut self, cx: &Reader<'_>, applying: Applying<'_>);
    /// It was applied, with this reply.
    fn after(&mut self, cx: &Reader<'_>, applying: Applying<'_>, reply: &Reply<'_>);
    /// An expiry with these arguments was applied.
    fn expired(&mut self, cx: &Reader<'_>, args: Args<'_>);
    /// A transaction begins, or ends.
    fn frame(&mut self, begins: bool);
}

/// Nobody.
impl Listener for () {
    #[inline]
    fn before(&mut self, _: &Reader<'_>, _: Applying<'_>) {}
    #[inline]
    fn after(&mut self, _: &Reader<'_>, _: Applying<'_>, _: &Reply<'_>) {}
    #[inline]
    fn expired(&mut self, _: &Reader<'_>, _: Args<'_>) {}
    #[inline]
    fn frame(&mut self, _: bool) {}
}

/// Tells in commands of Redis 7.0.
#[derive(Debug, Default)]
pub(crate) struct Teller {
    out: Payload,
    /// What stands in front of the transaction that is told.
    outside: Option<Payload>,
    /// Changes of the keyspace before the record.
    changes: u64,
    /// Whether the record names a hash that had due fields: for Redis they are there.
    met_due: bool,
    /// The stream that the record may trim, before it.
    stream: Option<told::stream::Before>,
}

impl Listener for Teller {
    fn before(&mut self, cx: &Reader<'_>, applying: Applying<'_>) {
        self.changes = cx.keyspace.changes();
        self.met_due = cx.keyspace.any_field_due() && meets_due_fields(cx, applying);
        self.stream = told::stream::Before::of(cx, applying);
    }

    fn after(&mut self, cx: &Reader<'_>, applying: Applying<'_>, reply: &Reply<'_>) {
        let Applying { spec, found, args } = applying;
        if cx.keyspace.changes() == self.changes || spec.meta.flags.has(Flags::INTERNAL) {
            return;
        }
        if self.met_due {
            return self.wholes(cx, applying);
        }
        let is_stream = told::stream::tell(self, cx, applying, reply);
        if is_stream {
            return;
        }
        match (found, spec.meta.name) {
            (Decoded::Command(_, bytes, _), _) => self.out.plain(cx.db, bytes, 1),
            (_, "SPOP") => self.popped(cx, args.at(1), reply),
            (_, name) if told::hash::tell(self, cx, name, args) => {}
            _ => self.wholes(cx, applying),
        }
    }

    fn expired(&mut self, cx: &Reader<'_>, args: Args<'_>) {
        if args.at(0) == b"HDEL" {
            return told::hash::tell_gone(self, cx, args.at(1), args.from(2));
        }
        let gone = args.from(1).iter().filter(|key| !cx.exists(key));
        self.with_names(cx.db, &[b"UNLINK"], gone);
    }

    fn frame(&mut self, begins: bool) {
        if begins {
            let within = self.out.continued();
            self.outside = Some(core::mem::replace(&mut self.out, within));
        } else if let Some(outside) = self.outside.take() {
            let within = core::mem::replace(&mut self.out, outside);
            self.out.transaction(&within);
        }
    }
}

impl Teller {
    /// Everything that was told.
    pub(crate) fn finish(self) -> Bytes {
        self.out.freeze()
    }

    /// One command.
    pub(crate) fn say(&mut self, db: Db, words: &[&[u8]]) {
        self.out.words(db, words);
    }

    /// Commands that begin with `head` and name all of these, so many at a time.
    pub(crate) fn with_names<'n>(
        &mut self,
        db: Db,
        head: &[&'n [u8]],
        names: impl Iterator<Item = &'n [u8]>,
    ) {
        let mut words = head.to_vec();
        for name in names {
            words.push(name);
            if words.len() == head.len() + NAMES_MAX {
                self.say(db, &words);
                words.truncate(head.len());
            }
        }
        if words.len() > head.len() {
            self.say(db, &words);
        }
    }

    /// How the record's stream was before it.
    pub(crate) fn stream_before(&mut self) -> Option<told::stream::Before> {
        self.stream.take()
    }

    /// The keys that a record names, as they are now.
    fn wholes(&mut self, cx: &Reader<'_>, applying: Applying<'_>) {
        let mut dbs: Vec<Db> = databases(cx, applying).collect();
        dbs.sort_unstable();
        dbs.dedup();
        for db in dbs {
            for at in applying.spec.meta.keys.positions(applying.args) {
                self.whole(&Reader { db, ..*cx }, applying.args.at(at));
            }
        }
    }

    /// A key as it is now, if this entry touched it.
    pub(crate) fn whole(&mut self, cx: &Reader<'_>, key: &[u8]) {
        let Some(payload) = cx.dump_untimed(key) else {
            return self.say(cx.db, &[b"UNLINK", key]);
        };
        if !self.met_due && cx.keyspace.revision(cx.db, key) != cx.keyspace.applied_index() {
            return;
        }
        let deadline = cx.deadline_ms(key).flatten().unwrap_or(0);
        let deadline = int_text(i64::try_from(deadline).unwrap_or(i64::MAX));
        let words: [&[u8]; 6] =
            [b"RESTORE", key, deadline.as_bytes(), &payload, b"REPLACE", b"ABSTTL"];
        self.say(cx.db, &words);
    }

    /// Members of a set that were popped, as the reply names them.
    fn popped(&mut self, cx: &Reader<'_>, key: &[u8], reply: &Reply<'_>) {
        if !cx.exists(key) {
            return self.say(cx.db, &[b"UNLINK", key]);
        }
        let members = match reply {
            Reply::Set(members) => members.as_slice(),
            one => core::slice::from_ref(one),
        };
        let members: Vec<_> = members.iter().filter_map(Reply::text).collect();
        self.with_names(cx.db, &[b"SREM", key], members.iter().map(|member| &member[..]));
    }
}

/// Whether a record names a hash some of whose fields are due and not removed.
fn meets_due_fields(cx: &Reader<'_>, applying: Applying<'_>) -> bool {
    databases(cx, applying).any(|db| {
        let Applying { spec, args, .. } = applying;
        let mut keys = spec.meta.keys.positions(args);
        let now_ms = cx.now_ms();
        keys.any(|at| !cx.keyspace.due_fields_of(db, args.at(at), now_ms, 1).0.is_empty())
    })
}

/// The databases that a record may name keys of: its own, and those among its arguments.
fn databases<'a>(
    cx: &Reader<'_>,
    Applying { spec, args, .. }: Applying<'a>,
) -> impl Iterator<Item = Db> + use<'a> {
    let elsewhere = spec.meta.flags.has(Flags::OTHER_DB);
    let others = args.iter().filter_map(Db::parse).filter(move |_| elsewhere);
    others.chain([cx.db])
}

#[cfg(test)]
mod tests;
