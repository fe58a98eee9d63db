//! What one session keeps copies of: its mode, and what of its commands counts.
//!
//! It is the session's own and is given up as a whole when the session ends, however it ends.

use super::message::Way;
use super::prefixes::overlap;
use super::under_way::UnderWay;
use super::{Keeper, Tracking};
use crate::clients::{BROADCASTS, BROKEN, Peer, TRACKS};
use crate::command::error;
use crate::registry::Entry;
use bytes::Bytes;
use quorate_consensus::Shown;
use quorate_resp::{Args, Reply, up_to_zero};
use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Prefixes of one client.
const PREFIXES_MAX: usize = 1024;
/// Bytes that a prefix takes besides its name, here and in the tables, about.
const PREFIX_BYTES: usize = 256;

const OTHER_MODE: &str = "ERR You can't switch BCAST mode on/off before disabling tracking for \
     this client, and then re-enabling it with a different mode.";
const OTHER_CHOICE: &str = "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for \
     this client, and then re-enabling it with a different mode.";

/// What `CLIENT TRACKING ON` asks for.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a word of the command")]
pub(crate) struct Options {
    /// Who is told instead.
    pub(crate) redirect: Option<Arc<Peer>>,
    pub(crate) bcast: bool,
    pub(crate) optin: bool,
    pub(crate) optout: bool,
    pub(crate) noloop: bool,
}

impl Options {
    /// Whether they fit each other, and what was chosen before.
    fn check(&self, before: Option<&Self>) -> Result<(), Reply<'static>> {
        if before.is_some_and(|before| before.bcast != self.bcast) {
            return Err(Reply::error(OTHER_MODE));
        }
        if self.bcast && (self.optin || self.optout) {
            return Err(Reply::error("ERR OPTIN and OPTOUT are not compatible with BCAST"));
        }
        if self.optin && self.optout {
            return Err(Reply::error("ERR You can't specify both OPTIN mode and OPTOUT mode"));
        }
        let turned = |before: &Self| self.optin && before.optout || self.optout && before.optin;
        if before.is_some_and(turned) {
            return Err(Reply::error(OTHER_CHOICE));
        }
        Ok(())
    }
}

/// A client that keeps copies.
#[derive(Debug)]
struct On {
    number: u64,
    options: Options,
    prefixes: BTreeSet<Bytes>,
    /// Bytes that they take.
    bytes: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Tracker {
    tracking: Arc<Tracking>,
    peer: Arc<Peer>,
    on: Option<On>,
    /// `CLIENT CACHING` was said, of the next command or transaction.
    caching: bool,
    /// What the commands gathered for a run name, and which of that they read.
    gathered: UnderWay,
    reads: Vec<Box<[u8]>>,
}

impl Tracker {
    /// It keeps nothing yet.
    pub(crate) fn new(tracking: &Arc<Tracking>, peer: &Arc<Peer>) -> Self {
        Self {
            tracking: Arc::clone(tracking),
            peer: Arc::clone(peer),
            on: None,
            caching: false,
            gathered: UnderWay::default(),
            reads: Vec::new(),
        }
    }

    /// Whether it keeps copies.
    pub(crate) fn is_on(&self) -> bool {
        self.on.is_some()
    }

    /// Its options, and whether `CLIENT CACHING` is in force.
    pub(crate) fn options(&self) -> Option<(&Options, bool)> {
        self.on.as_ref().map(|on| (&on.options, self.caching))
    }

    /// Its prefixes, in order.
    pub(crate) fn prefixes(&self) -> Vec<Bytes> {
        self.on.iter().flat_map(|on| on.prefixes.iter().cloned()).collect()
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.on.as_ref().map_or(0, |on| on.bytes)
    }

    /// CLIENT TRACKING ON.
    pub(crate) fn turn_on(
        &mut self,
        options: Options,
        prefixes: &[&[u8]],
    ) -> Result<(), Reply<'static>> {
        if !options.bcast && !prefixes.is_empty() {
            return Err(Reply::error("ERR PREFIX option requires BCAST mode to be enabled"));
        }
        options.check(self.on.as_ref().map(|on| &on.options))?;
        self.may_add(prefixes)?;
        let way = Way { peer: Arc::clone(&self.peer), redirect: options.redirect.clone() };
        let noloop = options.noloop;
        let on = if let Some(on) = &mut self.on {
            let change = |keeper: &mut Keeper| (keeper.way, keeper.noloop) = (way, noloop);
            self.tracking.change(on.number, change);
            on.options = options;
            on
        } else {
            let prefixes = options.bcast.then(Vec::new);
            let number = self.tracking.join(Keeper { way, noloop, prefixes, under_way: None });
            self.on.insert(On { number, options, prefixes: BTreeSet::new(), bytes: 0 })
        };
        let all: &[&[u8]] = if prefixes.is_empty() { &[b""] } else { prefixes };
        for prefix in all.iter().filter(|_| on.options.bcast) {
            let prefix = Bytes::copy_from_slice(prefix);
            if on.prefixes.insert(prefix.clone()) {
                on.bytes += prefix.len() + PREFIX_BYTES;
                self.tracking.add_prefix(on.number, prefix);
            }
        }
        self.show();
        Ok(())
    }

    /// Whether these prefixes can be added: no key may begin with two of them.
    fn may_add(&self, prefixes: &[&[u8]]) -> Result<(), Reply<'static>> {
        let none = BTreeSet::new();
        let present = self.on.as_ref().map_or(&none, |on| &on.prefixes);
        if present.len() + prefixes.len() > PREFIXES_MAX {
            return Err(error(format!("ERR a client may have {PREFIXES_MAX} prefixes")));
        }
        for (at, prefix) in prefixes.iter().enumerate() {
            // None of the present ones begins another, unless it is empty, so only neighbours can
            // overlap this one.
            let empty = present.first().filter(|other| other.is_empty());
            let before = present.range::<[u8], _>((Unbounded, Included(*prefix))).next_back();
            let behind = present.range::<[u8], _>((Excluded(*prefix), Unbounded)).next();
            let mut others = empty.into_iter().chain(before).chain(behind);
            if let Some(other) = others.find(|other| overlap(other, prefix)) {
                return Err(overlaps(prefix, b"an existing prefix", other));
            }
            let others = prefixes.iter().skip(at + 1);
            if let Some(other) = others.copied().find(|other| overlap(other, prefix)) {
                return Err(overlaps(prefix, b"another provided prefix", other));
            }
        }
        Ok(())
    }

    /// CLIENT TRACKING OFF.
    pub(crate) fn turn_off(&mut self) {
        if let Some(on) = self.on.take() {
            self.tracking.leave(on.number);
        }
        self.caching = false;
        self.drop_gathered();
        self.show();
    }

    /// CLIENT CACHING.
    pub(crate) fn set_caching(&mut self) {
        self.caching = true;
    }

    /// A command is done with, outside of a transaction.
    pub(crate) fn done(&mut self, entry: Option<&Entry>) {
        if self.caching && !entry.is_some_and(|entry| entry.name.starts_with("client")) {
            self.caching = false;
        }
    }

    /// Shows others how it is.
    fn show(&self) {
        let (tracking, redirect) = match &self.on {
            None => (0, 0),
            Some(On { options: Options { redirect, bcast, .. }, .. }) => {
                let mode = if *bcast { TRACKS | BROADCASTS } else { TRACKS };
                (mode, redirect.as_ref().map_or(0, |to| to.id))
            }
        };
        self.peer.redirect.store(redirect, Relaxed);
        self.peer.tracking.store(tracking, Relaxed);
    }

    /// Whether what is read now is kept and has to be noted key by key.
    fn notes(&self) -> bool {
        self.on.as_ref().is_some_and(|on| match &on.options {
            Options { bcast: true, .. } => false,
            Options { optin: true, .. } => self.caching,
            Options { optout: true, .. } => !self.caching,
            _ => true,
        })
    }
}

/// What its commands do.
impl Tracker {
    /// A command has read. To be called while the state is held that it has read, with the reply in
    /// the output.
    pub(crate) fn read(&mut self, entry: &Entry, args: Args<'_>) {
        let Some(number) = self.on.as_ref().map(|on| on.number) else { return };
        if self.notes() && entry.is_write() == Some(false) {
            let keys = entry.meta.keys.positions(args).filter_map(|at| args.get(at));
            self.tracking.read(number, keys);
        } else {
            self.tracking.read_nothing_lasting(number);
        }
        self.caching = false;
    }

    /// A command goes along in the next run.
    pub(crate) fn gather(&mut self, entry: &Entry, args: Args<'_>) {
        self.gather_queued(entry, args);
        self.caching = false;
    }

    /// The same, of a transaction.
    pub(crate) fn gather_queued(&mut self, entry: &Entry, args: Args<'_>) {
        let Some(on) = &self.on else { return };
        let is_read = entry.is_write() == Some(false);
        let notes = is_read && self.notes();
        let run = &mut self.gathered;
        run.reads |= notes || is_read && on.options.bcast;
        let mut names = false;
        for key in entry.meta.keys.positions(args).filter_map(|at| args.get(at)) {
            names = true;
            run.keys.entry(key.into()).or_default();
            if notes {
                self.reads.push(key.into());
            }
        }
        run.empties |= !is_read && !names;
    }

    /// `CLIENT CACHING` within a transaction counts from there on.
    pub(crate) fn gather_caching(&mut self, args: Args<'_>) {
        let options = self.on.as_ref().map(|on| &on.options);
        let (yes, no) =
            (args.at(2).eq_ignore_ascii_case(b"YES"), args.at(2).eq_ignore_ascii_case(b"NO"));
        self.caching |= options.is_some_and(|it| yes && it.optin || no && it.optout);
    }

    fn drop_gathered(&mut self) {
        self.gathered = UnderWay::default();
        self.reads = Vec::new();
    }

    /// What was gathered leaves. To be called before it does, or while the state is held in which
    /// it is carried out.
    pub(crate) fn depart(&mut self) {
        let Some(on) = &self.on else { return };
        let (run, reads) = (std::mem::take(&mut self.gathered), std::mem::take(&mut self.reads));
        self.tracking.depart(on.number, run, &reads);
    }

    /// It has come back, with what the replies show, if there are any; they are in the output. It
    /// need not have left.
    pub(crate) fn arrive(&mut self, shown: Option<Shown>) {
        self.drop_gathered();
        if let Some(on) = &self.on {
            self.tracking.arrive(on.number, shown);
        }
    }

    /// It may have read what was not noted.
    pub(crate) fn doubt(&self) {
        if let Some(on) = &self.on {
            self.tracking.doubt(on.number);
        }
    }

    /// Whether whoever it has named is gone, as somebody has found out.
    pub(crate) fn is_broken(&self) -> bool {
        self.peer.tracking.load(Relaxed) & BROKEN != 0
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        self.turn_off();
    }
}

fn overlaps(prefix: &[u8], which: &[u8], other: &[u8]) -> Reply<'static> {
    Reply::error_of(&[
        b"ERR Prefix '",
        up_to_zero(prefix),
        b"' overlaps with ",
        which,
        b" '",
        up_to_zero(other),
        b"'. Prefixes for a single client must not overlap.",
    ])
}
