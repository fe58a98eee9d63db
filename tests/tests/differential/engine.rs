//! The bare engine with one client.

use bytes::{Bytes, BytesMut};
use quorate_engine::{
    Applied, Db, Flags, Keyspace, Run, RunKind, SealLimits, Settings, Stamp, Waiting, apply, cmd,
    rehearse, seal,
};
use quorate_resp::{Proto, Value, decode_reply, write_command};
use quorate_tests::generate::Command;
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

/// A keyspace, and where its client stands.
pub(crate) struct Engine {
    pub(crate) keyspace: Keyspace,
    pub(crate) db: u8,
    proto: Proto,
    index: u64,
    seed: u64,
}

impl Engine {
    pub(crate) fn new(seed: u64, proto: Proto, settings: &[(&str, &str)]) -> Self {
        let mut keyspace = Keyspace::new([seed, 2]);
        for (name, value) in settings {
            keyspace.set_setting(name, value).expect("the engine knows the setting");
        }
        Self { keyspace, db: 0, proto, index: 0, seed }
    }

    /// Seals one command, applies it, and decodes the reply. The clock is the machine's, for Redis
    /// counts by it too. Every fourth is a transaction of its own, and is rehearsed: that must make
    /// no difference.
    pub(crate) fn call(&mut self, command: &Command) -> Value {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let is_rehearsed = self.seed >> 62 == 0;
        let run = run(self.db, self.proto, std::slice::from_ref(command));
        let kind = if is_rehearsed { RunKind::Transaction(Box::default()) } else { run.kind };
        let runs = [Run { kind, ..run }];
        let stamp = Stamp { now_ms: now_ms(), seed: self.seed };
        let limits = SealLimits { refuse_writes: None, expire_max: 3 };
        let mut sealed = seal(&self.keyspace, &runs, &stamp, &limits);
        if is_rehearsed || sealed.taken == 0 {
            let nobody = &mut Waiting::default();
            sealed = rehearse(&mut self.keyspace, nobody, &runs, &stamp, &limits).0;
        }
        let replies = if sealed.payload.is_empty() {
            sealed.plan.answer(&self.keyspace, self.seed).expect("a plan that makes sense")
        } else {
            self.index += 1;
            let at = Applied { index: self.index, stamp };
            let applied = apply(&mut self.keyspace, at, &sealed.payload, Some(&sealed.plan));
            applied.expect("a payload that makes sense").replies
        };
        let [reply] = replies.as_slice() else { panic!("one run, {} replies", replies.len()) };
        let (value, used) = decode_reply(reply).expect("RESP").expect("a whole reply");
        assert_eq!(used, reply.len(), "{command:?}");
        if !is_rehearsed {
            return value;
        }
        let Value::Array(mut all) = value else { panic!("{command:?}: {value:?}") };
        assert_eq!(all.len(), 1, "{command:?}");
        all.remove(0)
    }
}

/// Commands as a session hands them on.
pub(crate) fn run(db: u8, proto: Proto, commands: &[Command]) -> Run {
    let mut bytes = BytesMut::new();
    for command in commands {
        write_command(&mut bytes, command.iter().map(Vec::as_slice));
    }
    Run {
        db: Db(db),
        proto,
        commands: Bytes::from(bytes),
        count: commands.len() as u32,
        kind: RunKind::Commands,
    }
}

#[allow(clippy::disallowed_methods, reason = "Redis beside it lives by the wall clock")]
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    since.as_millis() as u64
}

/// Names of the engine's commands that clients may send, subcommands as `PARENT SUB`.
pub(crate) fn names() -> BTreeSet<String> {
    cmd::all()
        .iter()
        .filter(|spec| !spec.meta.flags.has(Flags::INTERNAL))
        .map(|spec| spec.meta.name.replace('|', " "))
        .collect()
}

/// Limits that are reached at once, so that both forms of every collection are met; every other
/// pair of trails runs under them, the others under Redis's own.
const SMALL: &[(&str, &str)] = &[
    ("list-max-listpack-size", "4"),
    ("hash-max-listpack-entries", "4"),
    ("hash-max-listpack-value", "16"),
    ("set-max-intset-entries", "4"),
    ("zset-max-listpack-entries", "4"),
    ("zset-max-listpack-value", "16"),
    ("stream-node-max-entries", "3"),
    ("hll-sparse-max-bytes", "100"),
];
const LARGE: &[(&str, &str)] = &[
    ("list-max-listpack-size", "-2"),
    ("hash-max-listpack-entries", "512"),
    ("hash-max-listpack-value", "64"),
    ("set-max-intset-entries", "512"),
    ("zset-max-listpack-entries", "128"),
    ("zset-max-listpack-value", "64"),
    ("stream-node-max-entries", "100"),
    ("hll-sparse-max-bytes", "3000"),
];

/// What the engine knows of the settings of a trail. The longest value is so short that trails may
/// try to go beyond it.
pub(crate) fn settings(seed: u64) -> Vec<(&'static str, &'static str)> {
    let limits = if (seed / 2).is_multiple_of(2) { SMALL } else { LARGE };
    let longest = ("proto-max-bulk-len", "1048576");
    let known = |name: &str| Settings::NAMES.contains(&name);
    let limits = limits.iter().copied().filter(|(name, _)| known(name));
    limits.chain([longest]).collect()
}
