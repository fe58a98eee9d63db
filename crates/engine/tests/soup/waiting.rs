//! Who waits in the soup, and that nobody waits for what is there.

use super::{Keyspace, Reader, answer};
use quorate_engine::{Run, RunKind, Sealed, Served, Waiter, Waiting};
use quorate_resp::{Args, Limits, Parser, Value, decode_reply};
use std::collections::BTreeMap;

/// Commands that wait, as `super::TEMPLATES` has commands.
pub(super) const TEMPLATES: [&str; 14] = [
    "BLPOP K K 0",
    "BLPOP K 0.5",
    "BRPOP K K K 1",
    "BLMPOP 0 2 K K LEFT COUNT 2",
    "BLMPOP 0 1 K RIGHT",
    "BLMOVE K K LEFT RIGHT 0",
    "BLMOVE K K RIGHT RIGHT 0",
    "BRPOPLPUSH K K 0",
    "BZPOPMIN K K 0",
    "BZPOPMAX K 0",
    "BZMPOP 0 2 K K MAX COUNT 2",
    "XREADGROUP GROUP g c BLOCK 0 STREAMS K >",
    "XREADGROUP GROUP h d COUNT 1 BLOCK 9 STREAMS K K > >",
    "XREADGROUP GROUP g c NOACK BLOCK 1 STREAMS K N",
];

/// What those who wait for lists, sorted sets and streams hear of, one way or another.
pub(super) const BUSY: [&str; 26] = [
    "RPUSH K V N",
    "RPUSH K N",
    "LPUSH K V",
    "LPUSH K V N V",
    "LMOVE K K LEFT RIGHT",
    "LPOP K",
    "LRANGE K 0 -1",
    "ZADD K 1 V 2 b",
    "ZADD K 3 c",
    "ZUNIONSTORE K 1 K",
    "XADD K * f V",
    "XADD K * f N",
    "XGROUP CREATE K g $ MKSTREAM",
    "XGROUP CREATE K h 0 MKSTREAM",
    "XGROUP DESTROY K g",
    "XREADGROUP GROUP g c STREAMS K >",
    "SORT K BY nosort STORE K",
    "SET K V",
    "DEL K",
    "RENAME K K",
    "COPY K K REPLACE",
    "MOVE K D",
    "SWAPDB D D",
    "PEXPIRE K M",
    "PEXPIRE K M",
    "TYPE K",
];

/// Those who wait, as their nodes know it.
#[derive(Default)]
pub(super) struct Asked(BTreeMap<Waiter, Run>);

impl Asked {
    /// Takes over what came of a batch: who was parked, and who was served or told why not.
    pub(super) fn sealed(&mut self, runs: &[Run], sealed: &Sealed, waiting: &Waiting) {
        for parked in &sealed.parked {
            let run = &runs[*parked];
            let RunKind::Wait(registration) = &run.kind else { panic!("{run:?} waits") };
            assert!(self.0.insert(registration.waiter, run.clone()).is_none());
        }
        let relayed = sealed.relayed.iter().map(|(waiter, error)| {
            assert!(error.starts_with(b"-"));
            *waiter
        });
        for waiter in sealed.served.iter().copied().chain(relayed) {
            assert!(self.0.remove(&waiter).is_some(), "{waiter:?} did not wait, or no longer");
        }
        assert!(waiting.waiters().eq(self.0.keys().copied()));
        assert_eq!(waiting.len(), self.0.len());
        assert_eq!(waiting.bytes(), self.0.values().map(Run::bytes).sum::<usize>());
    }

    /// One of them leaves.
    pub(super) fn leave(&mut self, number: usize, waiting: &mut Waiting) {
        let waiter = self.0.keys().copied().nth(number % self.0.len().max(1));
        if let Some(waiter) = waiter {
            assert!(waiting.remove(waiter) && self.0.remove(&waiter).is_some());
        }
    }

    /// Nobody waits for what is there.
    pub(super) fn check(&self, keyspace: &Keyspace) {
        let mut parser = Parser::default();
        for run in self.0.values() {
            parser.parse(&run.commands, &Limits::stored()).expect("a command");
            let reader = Reader::at(keyspace, run.db);
            let found = first_served(&reader, parser.args(&run.commands));
            assert!(found.is_none(), "{found:?} of {:?} is there for {run:?}", run.db);
        }
    }
}

/// The first key that has something for a command that waits.
fn first_served(reader: &Reader<'_>, args: Args<'_>) -> Option<Vec<u8>> {
    let name = String::from_utf8_lossy(args.at(0)).to_ascii_uppercase();
    let spec = quorate_engine::cmd::resolve(args).expect("a row");
    let mut keys = spec.meta.keys.positions(args).map(|at| args.at(at));
    let has = |key: &&[u8]| match name.as_str() {
        "XREADGROUP" => has_news(reader, key, args),
        name if name.starts_with("BZ") => reader.type_name(key) == Some("zset"),
        _ => reader.type_name(key) == Some("list"),
    };
    match name.as_str() {
        "BLMOVE" | "BRPOPLPUSH" => keys.next().filter(has),
        _ => keys.find(has),
    }
    .map(<[u8]>::to_vec)
}

/// Whether a stream has entries that its group has not given to anybody.
fn has_news(reader: &Reader<'_>, key: &[u8], args: Args<'_>) -> bool {
    let is_group = |word: &[u8]| word.eq_ignore_ascii_case(b"GROUP");
    let at = (1..args.len()).find(|at| is_group(args.at(*at))).expect("a group");
    let ask = |words: &[&[u8]]| {
        let reply = answer(reader, words);
        decode_reply(&reply).expect("a reply").expect("a whole one").0
    };
    let groups = ask(&[b"XINFO", b"GROUPS", key]);
    let facts = |group: &Value| -> Option<(Vec<u8>, Vec<u8>)> {
        let facts = group.as_items()?;
        let named = |name: &[u8]| {
            let at = facts.iter().position(|fact| fact.as_bytes() == Some(name))?;
            Some(facts.get(at + 1)?.as_bytes()?.to_vec())
        };
        Some((named(b"name")?, named(b"last-delivered-id")?))
    };
    let mut groups = groups.as_items().unwrap_or_default().iter().filter_map(facts);
    let Some((_, last)) = groups.find(|(name, _)| name == args.at(at + 1)) else { return false };
    let behind = [b"(".as_slice(), &last].concat();
    let news = ask(&[b"XRANGE", key, &behind, b"+", b"COUNT", b"1"]);
    news.as_items().is_some_and(|entries| !entries.is_empty())
}

/// Both replicas serve the same with the same.
pub(super) fn check_served(sealed: &Sealed, one: &[Served], other: &[Served]) {
    let told = |served: &[Served]| -> Vec<_> {
        served.iter().map(|served| (served.waiter, served.reply.clone())).collect()
    };
    // A double that is no number is none.
    assert_eq!(format!("{:?}", told(one)), format!("{:?}", told(other)));
    assert!(one.iter().map(|served| served.waiter).eq(sealed.served.iter().copied()));
    assert!(one.iter().all(|served| !served.reply.is_error()));
}

/// Whoever has the name of a number.
pub(super) fn waiter(id: u64) -> Waiter {
    Waiter { node: id % 3, incarnation: u64::MAX - id % 2, id }
}
