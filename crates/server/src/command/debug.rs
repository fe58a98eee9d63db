//! `DEBUG …`: what Redis's test suite and operators of a test cluster need. Off unless
//! `enable-debug-command` says so.
//!
//! Nothing here can break replication but `FLIP-BIT`, which is there to break it: what would change
//! the state goes through the log, and `RELOAD` checks that the state survives a snapshot instead
//! of replacing it.

use super::{Call, Client, NODE, Row, Run, View, Work, bulk, error, int, is, not_an_integer, text};
use crate::settings::Allow;
use quorate_engine::{Db, Flags, Group, Keys, Keyspace, Reader, SnapshotFacts, exactly, least};
use quorate_resp::{Args, Proto, Reply};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::time::Duration;

/// The longest DEBUG SLEEP.
const SLEEP_S_MAX: f64 = 3600.0;

/// The rows.
pub(super) const ROWS: &[Row] = &Group::Server.rows([
    Row::new("DEBUG", "", Run::Parent)
        .facts(least(2), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Helps with tests. Off by default."),
    Row::new("DEBUG|SLEEP", "seconds", Run::Ask(sleep))
        .facts(exactly(3), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Answers after so many seconds; others are served meanwhile."),
    Row::new("DEBUG|SPIN", "millions", Run::Ask(spin))
        .facts(exactly(3), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Keeps the apply of every replica busy for so many steps."),
    Row::new("DEBUG|ERROR", "message", Run::Here(error_line))
        .facts(exactly(3), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Answers this error."),
    Row::new("DEBUG|LOG", "message", Run::Here(log))
        .facts(exactly(3), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Writes a line to the log."),
    Row::new("DEBUG|PROTOCOL", "type", Run::Here(protocol))
        .facts(exactly(3), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Answers a reply of this type."),
    Row::new("DEBUG|OBJECT", "key", Run::Look(object, true))
        .facts(least(3), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Shows how a key is kept."),
    Row::new("DEBUG|DIGEST", "", Run::Look(digest, true))
        .facts(exactly(2), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Answers a digest of all data."),
    Row::new("DEBUG|DIGEST-VALUE", "[key [key ...]]", Run::Look(digest_value, true))
        .facts(least(2), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Answers digests of keys."),
    Row::new("DEBUG|RELOAD", "[NOSAVE] [NOFLUSH] [MERGE]", Run::Look(reload, true))
        .facts(least(2), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Checks that the state survives a snapshot."),
    Row::new("DEBUG|LOADAOF", "", Run::Look(reload, true))
        .facts(exactly(2), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Checks that the state survives a snapshot."),
    Row::new("DEBUG|SET-ACTIVE-EXPIRE", "<0 | 1>", Run::Here(accept))
        .facts(exactly(3), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Is accepted: expired keys are invisible at once."),
    Row::new("DEBUG|PAUSE-CRON", "<0 | 1>", Run::Here(accept))
        .facts(exactly(3), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Is accepted without effect."),
    Row::new("DEBUG|QUICKLIST-PACKED-THRESHOLD", "bytes", Run::Here(accept))
        .facts(exactly(3), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Is accepted without effect."),
    Row::new("DEBUG|SET-DISABLE-DENY-SCRIPTS", "<0 | 1>", Run::Here(accept))
        .facts(exactly(3), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Is accepted without effect: scripts may call DEBUG PROTOCOL as it is."),
    Row::new("DEBUG|JMAP", "", Run::Here(accept))
        .facts(exactly(2), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Is accepted without effect."),
    Row::new("DEBUG|FLIP-BIT", "key [bit]", Run::Ask(flip_bit))
        .facts(least(3), Keys::None, NODE.and(DEBUG))
        .doc(
            "1.0.0",
            "Damages a value on this node alone, so that its replica differs from the others.",
        ),
    Row::new("DEBUG|HTSTATS", "db [FULL]", Run::Look(table_stats, false))
        .facts(least(3), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Counts the keys of a database."),
    Row::new("DEBUG|STRINGMATCH-LEN", "count pattern", Run::Here(string_match))
        .facts(exactly(4), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Matches a pattern against so many letters."),
    Row::new("DEBUG|CONFIG-REWRITE-FORCE-ALL", "", Run::Ask(super::config::ask_rewrite))
        .facts(exactly(2), Keys::None, NODE.and(DEBUG))
        .doc("1.0.0", "Rewrites the configuration file."),
]);

const DEBUG: Flags = Flags::ADMIN.and(Flags::DANGEROUS).and(Flags::DEBUG);

/// Whether this client may; the session asks before anything else.
pub(crate) fn allowed(client: &Client) -> Result<(), Reply<'static>> {
    let allowed = match client.tuned.debug {
        Allow::Yes => true,
        Allow::Local => client.is_local(),
        Allow::No => false,
    };
    if allowed {
        return Ok(());
    }
    Err(Reply::error(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", \
         you can run it from a local connection, otherwise you need to set this option in the \
         configuration file, and then restart the server.",
    ))
}

fn sleep(_: &mut Call<'_>, args: Args<'_>) -> Result<Work, Reply<'static>> {
    let seconds = text(args.at(2)).parse::<f64>().ok();
    match seconds.filter(|seconds| (0.0..=SLEEP_S_MAX).contains(seconds)) {
        Some(seconds) => Ok(Work::Sleep(Duration::from_secs_f64(seconds))),
        None => Err(Reply::error("ERR value is not a valid float")),
    }
}

fn spin(_: &mut Call<'_>, args: Args<'_>) -> Result<Work, Reply<'static>> {
    match int(args.at(2)) {
        Some(0..) => Ok(Work::Log(vec![b"QUORATE.SPIN".to_vec(), args.at(2).to_vec()])),
        _ => Err(not_an_integer()),
    }
}

fn flip_bit(call: &mut Call<'_>, args: Args<'_>) -> Result<Work, Reply<'static>> {
    let bit = if args.len() > 3 { int(args.at(3)) } else { Some(0) };
    match bit.and_then(|bit| u64::try_from(bit).ok()) {
        Some(bit) => Ok(Work::FlipBit(call.client.db, args.at(2).to_vec(), bit)),
        None => Err(not_an_integer()),
    }
}

fn error_line(_: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    Reply::error_of(&[args.at(2)])
}

fn log(_: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    tracing::warn!("DEBUG LOG: {}", text(args.at(2)));
    Reply::OK
}

fn accept(_: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::OK
}

/// A RESP3 attribute, sent in front of a reply.
const ATTRIBUTE: &[u8] = b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n";

fn protocol(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    if is(args.at(2), "attrib") && call.client.proto == Proto::Resp3 {
        call.client.preface = ATTRIBUTE.to_vec();
    }
    reply_of(args.at(2))
}

/// What a script may call of the server's own commands: DEBUG PROTOCOL, which looks at nothing, and
/// DEBUG SLEEP, for a second at most.
#[allow(clippy::disallowed_methods, reason = "a script holds up its thread and nothing else")]
pub(crate) fn in_script(words: &[Vec<u8>]) -> Option<Reply<'static>> {
    match words {
        [name, sub, kind] if is(name, "DEBUG") && is(sub, "PROTOCOL") => Some(reply_of(kind)),
        [name, sub, seconds] if is(name, "DEBUG") && is(sub, "SLEEP") => {
            let seconds: Option<f64> = text(seconds).parse().ok();
            let Some(seconds) = seconds.filter(|seconds| (0.0..=1.0).contains(seconds)) else {
                return Some(Reply::error("ERR a script sleeps for a second at most"));
            };
            std::thread::sleep(Duration::from_secs_f64(seconds));
            Some(Reply::OK)
        }
        _ => None,
    }
}

#[allow(clippy::approx_constant, reason = "Redis's number")]
fn reply_of(kind: &[u8]) -> Reply<'static> {
    let numbers = || (0..3).map(Reply::Int).collect::<Vec<_>>();
    match text(kind).to_ascii_lowercase().as_str() {
        "string" => bulk("Hello World"),
        "integer" => Reply::Int(12345),
        "double" => Reply::Double(3.141),
        "null" => Reply::Null,
        "array" => Reply::Array(numbers()),
        "set" => Reply::Set(numbers()),
        "map" => Reply::Map((0..3).map(|n| (Reply::Int(n), Reply::Bool(n == 1))).collect()),
        "push" => Reply::Push(vec![bulk("server-cpu-usage"), Reply::Int(42)]),
        "bignum" => Reply::BigNumber("1234567999999999999999999999999999999".to_owned()),
        "attrib" => bulk("Some real reply following the attribute"),
        "true" => Reply::Bool(true),
        "false" => Reply::Bool(false),
        "verbatim" => Reply::Verbatim(*b"txt", b"This is a verbatim\nstring".as_slice().into()),
        _ => Reply::error(
            "ERR Wrong protocol type name. Please use one of the following: \
             string|integer|double|null|array|set|map|push|verbatim|attrib|true|false|bignum",
        ),
    }
}

fn object(call: &mut Call<'_>, view: &View<'_>, args: Args<'_>) -> Reply<'static> {
    let reader = Reader { keyspace: view.keyspace, db: call.client.db, seed: 0, clock_ms: 0 };
    let key = args.at(2);
    let Some(bytes) = reader.usage_bytes(key) else { return Reply::error("ERR no such key") };
    let encoding = reader.encoding(key).unwrap_or("unknown");
    let len = match reader.string(key) {
        Ok(Some(value)) => value.len() as u64,
        _ => bytes,
    };
    let text = format!(
        "Value at:0x0 refcount:1 encoding:{encoding} serializedlength:{len} lru:0 \
         lru_seconds_idle:0"
    );
    Reply::Simple(text.into())
}

/// Forty hexadecimal digits of a digest, as Redis shows one.
fn hex(digest: &[u8]) -> String {
    digest.iter().take(20).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Digest of one key's type and value; zeros when it is absent.
fn value_digest(reader: &Reader<'_>, key: &[u8]) -> [u8; 32] {
    let Some(kind) = reader.type_name(key) else { return [0; 32] };
    let mut digest = Sha256::new();
    digest.update(kind.as_bytes());
    if let Ok(Some(value)) = reader.string(key) {
        value.pieces().for_each(|piece| digest.update(piece));
    }
    digest.finalize().into()
}

/// Independent of the keys' order: the keys' digests are folded with exclusive or.
fn digest(_: &mut Call<'_>, view: &View<'_>, _: Args<'_>) -> Reply<'static> {
    let mut sum = [0_u8; 32];
    for number in 0..Db::COUNT {
        let reader = Reader { keyspace: view.keyspace, db: Db(number), seed: 0, clock_ms: 0 };
        reader.keys(&mut |key| {
            let mut one = Sha256::new();
            one.update([number]);
            one.update(key.len().to_le_bytes());
            one.update(key);
            one.update(value_digest(&reader, key));
            let deadline = reader.deadline_ms(key).flatten().unwrap_or(0);
            one.update(deadline.to_le_bytes());
            sum.iter_mut().zip(one.finalize()).for_each(|(sum, byte)| *sum ^= byte);
        });
    }
    Reply::Simple(hex(&sum).into())
}

fn digest_value(call: &mut Call<'_>, view: &View<'_>, args: Args<'_>) -> Reply<'static> {
    let reader = Reader { keyspace: view.keyspace, db: call.client.db, seed: 0, clock_ms: 0 };
    let digests = args.iter().skip(2).map(|key| bulk(hex(&value_digest(&reader, key))));
    Reply::Array(digests.collect())
}

/// Writes a snapshot to memory, reads it back, and compares the digests of the two states.
fn reload(_: &mut Call<'_>, view: &View<'_>, _: Args<'_>) -> Reply<'static> {
    let mut snapshot = Vec::new();
    view.keyspace.write_snapshot(&SnapshotFacts::default(), &mut |piece| {
        snapshot.extend_from_slice(piece);
    });
    match Keyspace::read_snapshot(&snapshot) {
        Ok((state, _)) if state.digest() == view.keyspace.digest() => Reply::OK,
        Ok(_) => Reply::error("ERR the state read back from a snapshot differs"),
        Err(why) => error(format!("ERR the snapshot cannot be read back: {why}")),
    }
}

fn table_stats(_: &mut Call<'_>, view: &View<'_>, args: Args<'_>) -> Reply<'static> {
    let Some(number) = int(args.at(2)).and_then(|n| u8::try_from(n).ok()) else {
        return not_an_integer();
    };
    if number >= Db::COUNT {
        return Reply::error("ERR Out of range database");
    }
    let (keys, expires, _) = view.keyspace.stats(Db(number));
    let text = format!("[Dictionary HT]\nkeys: {keys}\n[Expires HT]\nkeys: {expires}\n");
    Reply::Verbatim(*b"txt", text.into_bytes().into())
}

fn string_match(_: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    match int(args.at(2)) {
        Some(count @ 0..=1_000_000) => {
            let letters = vec![b'a'; count as usize];
            Reply::Int(i64::from(quorate_engine::glob::matches(args.at(3), &letters)))
        }
        _ => not_an_integer(),
    }
}
