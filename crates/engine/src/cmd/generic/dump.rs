//! A value as bytes and back: DUMP and RESTORE.
//!
//! A payload is validated when the command is sealed: a bad one is refused there and never reaches
//! the log. It is logged with an absolute deadline, in a form that Redis 7.0 takes; a deadline that
//! is past already is armoured, because Redis stores it while it loads, and so is a hash with
//! deadlines of fields. How long a value was idle,
//! or how often used, is checked and not kept, as nothing of that kind is.

use super::{NOT_AN_INTEGER, SYNTAX, always};
use crate::snapshot::{self, Payload, PayloadError};
use crate::{
    Flags, Group, Keys, Keyspace, LogForm, Reader, Replied, Sealing, Spec, Writer, exactly, least,
};
use alloc::format;
use quorate_resp::{Args, Reply, int_text, parse_int};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Generic.rows([
    Spec::read("DUMP", "key", |cx, args| Ok(dump(cx, args)))
        .facts(exactly(2), Keys::At(1), Flags::NONE)
        .doc("2.6.0", "Gives the value of a key as bytes that RESTORE takes.")
        .costing(dump_cost_ns),
    Spec::write(
        "RESTORE",
        "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ \
         frequency]",
        restore,
    )
    .facts(least(4), Keys::At(1), Flags::DENYOOM.and(Flags::DANGEROUS))
    .doc("2.6.0", "Makes a key of the bytes that DUMP gave, with a TTL or none (0).")
    .access(&["OW update"])
    .logged("rewritten or armoured", form)
    .moving(always)
    .costing(restore_cost_ns),
    // What nodes of Redis Cluster send when slots move; whoever reads that traffic into us may too.
    Spec::write(
        "RESTORE-ASKING",
        "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ \
         frequency]",
        restore,
    )
    .facts(least(4), Keys::At(1), Flags::DENYOOM.and(Flags::DANGEROUS))
    .doc("3.0.0", "Does what RESTORE does.")
    .access(&["OW update"])
    .logged("rewritten or armoured", form)
    .moving(always)
    .costing(restore_cost_ns),
]);

const BUSY: &str = "BUSYKEY Target key name already exists.";
/// A checksum and a copy: below 1 ns a byte.
const BYTE_NS: u64 = 1;

type Result<T> = core::result::Result<T, Reply<'static>>;

fn dump<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    cx.dump(args.at(1)).map_or(Reply::Null, Reply::owned)
}

fn dump_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    cx.usage_bytes(args.at(1)).unwrap_or(0).saturating_mul(BYTE_NS)
}

/// A payload may claim anything; what claims more than a string may have is refused at once.
fn restore_cost_ns(cx: &Reader<'_>, args: Args<'_>) -> u64 {
    let longest = cx.keyspace.settings().string_bytes_max;
    snapshot::claimed_bytes(args.at(3)).min(longest).saturating_mul(2 * BYTE_NS)
}

/// RESTORE's options, as far as they change anything.
#[derive(Clone, Copy, Default)]
struct Options {
    /// `REPLACE`: what the key holds goes.
    replace: bool,
    /// `ABSTTL`: the TTL is a deadline in Unix milliseconds.
    absolute: bool,
}

impl Options {
    fn parse(args: Args<'_>) -> Result<Self> {
        let mut found = Self::default();
        let (mut idle, mut freq) = (false, false);
        let mut options = args.from(4).iter();
        while let Some(option) = options.next() {
            if option.eq_ignore_ascii_case(b"REPLACE") {
                found.replace = true;
            } else if option.eq_ignore_ascii_case(b"ABSTTL") {
                found.absolute = true;
            } else if !freq && option.eq_ignore_ascii_case(b"IDLETIME") {
                idle = true;
                let seconds = options.next().ok_or(Reply::error(SYNTAX))?;
                if integer(seconds)? < 0 {
                    return Err(Reply::error("ERR Invalid IDLETIME value, must be >= 0"));
                }
            } else if !idle && option.eq_ignore_ascii_case(b"FREQ") {
                freq = true;
                let count = options.next().ok_or(Reply::error(SYNTAX))?;
                if !(0..=255).contains(&integer(count)?) {
                    return Err(Reply::error("ERR Invalid FREQ value, must be >= 0 and <= 255"));
                }
            } else {
                return Err(Reply::error(SYNTAX));
            }
        }
        Ok(found)
    }

    /// The deadline that a TTL means; 0 is none.
    fn deadline(self, ttl: &[u8], now_ms: u64) -> Result<Option<u64>> {
        let ttl = u64::try_from(integer(ttl)?)
            .map_err(|_| Reply::error("ERR Invalid TTL value, must be >= 0"))?;
        let base = if self.absolute || ttl == 0 { 0 } else { now_ms };
        let deadline = base.saturating_add(ttl);
        if i64::try_from(deadline).is_err() {
            return Err(Reply::error("ERR invalid expire time in 'restore' command"));
        }
        Ok(Some(deadline).filter(|&deadline| deadline > 0))
    }
}

fn integer(text: &[u8]) -> Result<i64> {
    parse_int(text).ok_or(Reply::error(NOT_AN_INTEGER))
}

/// The value in a payload.
fn value<'a>(keyspace: &Keyspace, payload: &'a [u8]) -> Result<Payload<'a>> {
    let longest = keyspace.settings().string_bytes_max;
    snapshot::load(payload, longest, keyspace.rules()).map_err(|error| match error {
        PayloadError::Unknown => Reply::error("ERR DUMP payload version or checksum are wrong"),
        PayloadError::Malformed => Reply::error("ERR Bad data format"),
        PayloadError::Value(holds) => Reply::Error(format!("ERR The payload holds {holds}").into()),
    })
}

/// How RESTORE is logged, or why not. Only with a good payload is it left to apply whether the key
/// is free; with a bad one that decides no more than which error is told.
fn form(cx: &mut Sealing<'_>, args: Args<'_>) -> LogForm {
    let (cx, stamp) = (&cx.reader, &cx.stamp);
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(reply) => return LogForm::Refused(reply),
    };
    let (key, payload) = (args.at(1), args.at(3));
    let deadline = options.deadline(args.at(2), stamp.now_ms);
    let (deadline, value) = match deadline.and_then(|at| Ok((at, value(cx.keyspace, payload)?))) {
        Ok(good) => good,
        Err(reply) => {
            let gone = cx.keyspace.is_due(cx.db, key, stamp.now_ms);
            let busy = !options.replace && cx.exists(key) && !gone;
            return LogForm::Refused(if busy { Reply::error(BUSY) } else { reply });
        }
    };
    if deadline.is_some_and(|at_ms| at_ms <= stamp.now_ms) || value.is_timed() {
        return LogForm::Hidden;
    }
    let downgraded = value.downgraded();
    if downgraded.is_none() && (options.absolute || deadline.is_none()) {
        return LogForm::Plain;
    }
    let at_ms = int_text(deadline.and_then(|at_ms| i64::try_from(at_ms).ok()).unwrap_or(0));
    let payload = downgraded.unwrap_or_else(|| payload.to_vec());
    let mut words =
        alloc::vec![b"RESTORE".to_vec(), key.to_vec(), at_ms.as_bytes().to_vec(), payload];
    words.extend(args.from(4).iter().map(<[u8]>::to_vec));
    if !options.absolute {
        words.push(b"ABSTTL".to_vec());
    }
    LogForm::Rewritten(words)
}

fn restore(cx: &mut Writer<'_>, args: Args<'_>) -> Replied<'static> {
    restored(cx, args).map(|()| Reply::OK)
}

fn restored(cx: &mut Writer<'_>, args: Args<'_>) -> Result<()> {
    let options = Options::parse(args)?;
    let key = args.at(1);
    if !options.replace && cx.reader().exists(key) {
        return Err(Reply::error(BUSY));
    }
    let deadline = options.deadline(args.at(2), cx.now_ms())?;
    let value = value(cx.keyspace, args.at(3))?;
    if deadline.is_some_and(|at_ms| at_ms <= cx.now_ms()) {
        if cx.remove(key) {
            cx.notify(b'g', "del", key);
        }
        return Ok(());
    }
    cx.put(key, value, deadline);
    cx.notify(b'g', "restore", key);
    Ok(())
}
