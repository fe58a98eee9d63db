//! Commands that wait: who is served, by what, and in which order.

mod arguments;
mod streams;

use super::{LIMITS, NOW, lines, run, stamp};
use crate::{
    Applied, Db, Keyspace, Refusal, Registration, Run, RunKind, SealLimits, Sealed, Stamp, Waiter,
    Waiting, apply, rehearse, seal_beside,
};
use quorate_resp::{Proto, Reply, decode_reply};
use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

/// A leader, a follower, and who waits. Each step is an entry.
struct World {
    leader: Keyspace,
    follower: Keyspace,
    waiting: Waiting,
    /// Milliseconds since the beginning,
    after_ms: u64,
    /// The last entry,
    sealed: Option<Sealed>,
    /// and what it told those who waited: their numbers, and the replies as they are sent.
    told: Vec<(u64, String)>,
}

impl World {
    fn new() -> Self {
        let [leader, follower] = [(); 2].map(|()| Keyspace::new([1, 2]));
        let (waiting, told) = (Waiting::default(), Vec::new());
        Self { leader, follower, waiting, after_ms: 0, sealed: None, told }
    }

    /// Takes runs: what those are answered that do not wait, one text for each.
    fn step(&mut self, runs: &[Run]) -> Vec<String> {
        self.step_within(runs, &LIMITS)
    }

    fn step_within(&mut self, runs: &[Run], limits: &SealLimits) -> Vec<String> {
        let stamp = Stamp { seed: self.leader.applied_index(), ..stamp(self.after_ms) };
        let digest = self.leader.digest();
        let mut sealed = seal_beside(&self.waiting, &self.leader, runs, &stamp, limits);
        if sealed.taken < runs.len() {
            sealed = rehearse(&mut self.leader, &mut self.waiting, runs, &stamp, limits).0;
        }
        assert_eq!(self.leader.digest(), digest);
        assert_eq!(sealed.taken, runs.len());
        let relayed = sealed.relayed.iter();
        self.told = relayed.map(|(waiter, reply)| (waiter.id, text(reply))).collect();
        let replies = if sealed.payload.is_empty() {
            assert!(sealed.served.is_empty());
            sealed.plan.answer(&self.leader, 1).unwrap()
        } else {
            self.apply(&sealed, stamp)
        };
        assert_eq!(replies.len() + sealed.parked.len(), runs.len());
        self.sealed = Some(sealed);
        replies.iter().map(|reply| text(reply)).collect()
    }

    /// Both apply it, and agree on everything.
    fn apply(&mut self, sealed: &Sealed, stamp: Stamp) -> Vec<bytes::Bytes> {
        let at = Applied { index: self.leader.applied_index() + 1, stamp };
        let outcome = apply(&mut self.leader, at, &sealed.payload, Some(&sealed.plan)).unwrap();
        let silent = apply(&mut self.follower, at, &sealed.payload, None).unwrap();
        assert_eq!(self.leader.digest(), self.follower.digest());
        let told = |outcome: &crate::Outcome| -> Vec<_> {
            let served = outcome.served.iter();
            served.map(|served| (served.waiter, served.reply.clone())).collect()
        };
        assert_eq!(told(&outcome), told(&silent));
        let served: Vec<Waiter> = outcome.served.iter().map(|served| served.waiter).collect();
        assert_eq!(served, sealed.served);
        for served in outcome.served {
            assert_eq!(served.waiter, waiter(served.waiter.id));
            self.told.push((served.waiter.id, sent(&served.reply, Proto::Resp2)));
        }
        outcome.replies
    }

    /// Somebody gives a command that waits, as one run.
    fn wait(&mut self, id: u64, line: &str) -> &mut Self {
        let answered = self.step(&[waits(id, line)]);
        assert_eq!(answered, [] as [&str; 0], "{line}");
        self
    }

    /// The same, and it has to wait.
    fn park(&mut self, id: u64, line: &str) -> &mut Self {
        self.wait(id, line);
        assert_eq!(self.told, [], "{line}");
        assert!(self.waiting.waiters().any(|parked| parked == waiter(id)), "{line}");
        self
    }

    /// Commands of one session, each by itself; what they are answered.
    fn run(&mut self, lines: &[&str]) -> String {
        self.step(&[run(0, lines)]).concat()
    }

    /// The same as a transaction.
    fn exec(&mut self, lines: &[&str]) -> String {
        let kind = RunKind::Transaction([].into());
        self.step(&[Run { kind, ..run(0, lines) }]).concat()
    }

    /// Who was told what by the last entry, in order: `number reply`, in words.
    fn told(&self) -> Vec<String> {
        self.told.iter().map(|(id, reply)| format!("{id} {}", words(reply))).collect()
    }

    /// The last entry as lines.
    fn logged(&self) -> Vec<String> {
        lines(self.sealed.as_ref().unwrap())
    }

    /// The last entry as it lies, in words.
    fn payload(&self) -> String {
        String::from_utf8_lossy(&self.sealed.as_ref().unwrap().payload).into_owned()
    }
}

fn waiter(id: u64) -> Waiter {
    Waiter { node: 7, incarnation: u64::MAX, id }
}

fn registered(id: u64, since_ms: u64, line: &str) -> Run {
    let registration = Registration { waiter: waiter(id), since_ms, applied: 0, again: false };
    Run { kind: RunKind::Wait(registration), ..run(0, &[line]) }
}

fn waits(id: u64, line: &str) -> Run {
    registered(id, NOW, line)
}

fn in_db(db: u8, run: Run) -> Run {
    Run { db: Db(db), ..run }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn sent(reply: &Reply<'_>, proto: Proto) -> String {
    let mut out = bytes::BytesMut::new();
    reply.encode(proto, &mut out);
    text(&out)
}

/// A reply in words: `[key element]`, `nil`, or the error.
fn words(reply: &str) -> String {
    use quorate_resp::Value;
    fn show(value: &Value) -> String {
        match value {
            Value::Array(items) => {
                format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" "))
            }
            Value::Bulk(bytes) => text(bytes),
            Value::Error(error) => format!("-{error}"),
            Value::Int(number) => number.to_string(),
            other if other.is_null() => "nil".into(),
            other => format!("{other:?}"),
        }
    }
    show(&decode_reply(reply.as_bytes()).unwrap().unwrap().0)
}

const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn who_finds_something_is_served_at_once() {
    for (before, line, logged, told) in [
        ("RPUSH k 1 2 3", "BLPOP none k other 0", "LMPOP 1 k LEFT", "[k 1]"),
        ("RPUSH k 1 2 3", "brpop k 0.5", "LMPOP 1 k RIGHT", "[k 3]"),
        ("RPUSH k 1 2 3", "BLMPOP 1 2 none k LEFT", "LMPOP 1 k LEFT COUNT 1", "[k [1]]"),
        ("RPUSH k 1 2 3", "BLMPOP 0 1 k right count 2", "LMPOP 1 k RIGHT COUNT 2", "[k [3 2]]"),
        ("RPUSH k 1 2 3", "BLMOVE k d left RIGHT 0", "LMOVE k d left RIGHT", "1"),
        ("RPUSH k 1 2 3", "BRPOPLPUSH k k 0", "RPOPLPUSH k k", "3"),
        ("ZADD k 1 a 2 b 3.5 c", "BZPOPMIN none k 0", "ZMPOP 1 k MIN", "[k a 1]"),
        ("ZADD k 1 a 2 b 3.5 c", "BZPOPMAX k 0", "ZMPOP 1 k MAX", "[k c 3.5]"),
        (
            "ZADD k 1 a 2 b 3.5 c",
            "BZMPOP 0 2 none k MAX COUNT 2",
            "ZMPOP 1 k MAX COUNT 2",
            "[k [[c 3.5] [b 2]]]",
        ),
    ] {
        let mut world = World::new();
        world.run(&[before]);
        world.wait(3, line);
        assert_eq!(world.logged(), [format!("0 {logged}")], "{line}");
        assert_eq!(world.told(), [format!("3 {told}")], "{line}");
        assert!(world.waiting.is_empty() && !world.sealed.as_ref().unwrap().inexact);
        // In a transaction it is served in the same way; `flat` is for the reply alone.
        let mut world = World::new();
        world.run(&[before]);
        assert_eq!(words(&world.exec(&[line])), format!("[{told}]"), "{line}");
        assert_eq!(world.logged(), [format!("0 {logged}")], "{line}");
    }
}

#[test]
fn a_score_is_told_as_such_in_either_protocol() {
    let mut world = World::new();
    world.run(&["ZADD z 1.5 m"]);
    let stamp = stamp(0);
    let run = [waits(1, "BZPOPMIN z 0")];
    let (sealed, _) = rehearse(&mut world.leader, &mut world.waiting, &run, &stamp, &LIMITS);
    let at = Applied { index: 2, stamp };
    let outcome = apply(&mut world.leader, at, &sealed.payload, Some(&sealed.plan)).unwrap();
    let reply = &outcome.served[0].reply;
    assert_eq!(sent(reply, Proto::Resp2), "*3\r\n$1\r\nz\r\n$1\r\nm\r\n$3\r\n1.5\r\n");
    assert_eq!(sent(reply, Proto::Resp3), "*3\r\n$1\r\nz\r\n$1\r\nm\r\n,1.5\r\n");
}

#[test]
fn who_must_not_wait_is_told_that_there_is_nothing() {
    for (line, nil) in [
        ("BLPOP a b 0", "*-1\r\n"),
        ("BRPOP a 0", "*-1\r\n"),
        ("BLMPOP 0 1 a LEFT", "*-1\r\n"),
        ("BLMOVE a b LEFT LEFT 0", "$-1\r\n"),
        ("BRPOPLPUSH a b 0", "$-1\r\n"),
        ("BZPOPMIN a 0", "*-1\r\n"),
        ("BZPOPMAX a 0", "*-1\r\n"),
        ("BZMPOP 0 1 a MIN", "*-1\r\n"),
        ("XREADGROUP GROUP g c BLOCK 0 STREAMS s >", "*-1\r\n"),
    ] {
        let mut world = World::new();
        world.run(&["XGROUP CREATE s g $ MKSTREAM"]);
        assert_eq!(world.exec(&[line]), format!("*1\r\n{nil}"), "{line}");
        assert!(world.sealed.as_ref().unwrap().payload.is_empty());
        assert_eq!(world.run(&[line]), nil, "{line}");
        assert!(world.waiting.is_empty());
    }
}

#[test]
fn elements_go_to_who_came_first() {
    let mut world = World::new();
    world.park(1, "BLPOP l 0").park(2, "BRPOP l 0").park(3, "BLMPOP 0 1 l LEFT COUNT 2");
    world.park(4, "BLPOP l 0");
    assert_eq!(world.run(&["RPUSH l a b c d"]), ":4\r\n");
    assert_eq!(world.told(), ["1 [l a]", "2 [l d]", "3 [l [b c]]"]);
    assert_eq!(
        world.logged(),
        ["0 RPUSH l a b c d", "0 LMPOP 1 l LEFT", "0 LMPOP 1 l RIGHT", "0 LMPOP 1 l LEFT COUNT 2"]
    );
    assert_eq!(world.waiting.waiters().collect::<Vec<_>>(), [waiter(4)]);
    assert_eq!(world.run(&["LPUSH l x y"]), ":2\r\n");
    assert_eq!(world.told(), ["4 [l y]"]);
    assert_eq!(world.run(&["LRANGE l 0 -1"]), "*1\r\n$1\r\nx\r\n");
    assert!(world.waiting.is_empty() && world.waiting.bytes() == 0);
}

/// A mark in front of each command that serves somebody, and nothing else that Redis could not
/// read.
#[test]
fn whom_a_command_serves_stands_in_front_of_it() {
    let mut world = World::new();
    world.step(&[in_db(3, waits(5, "BLPOP l 0")), in_db(3, waits(6, "BLMOVE l m LEFT LEFT 0"))]);
    world.step(&[in_db(3, run(0, &["RPUSH l a b"]))]);
    let command = |line: &str| text(&super::command(line));
    let expected = [
        command("SELECT 3"),
        command("RPUSH l a b"),
        "#p 7 -1 5 1\n".into(),
        command("LMPOP 1 l LEFT"),
        "#p 7 -1 6 0\n".into(),
        command("LMOVE l m LEFT LEFT"),
    ];
    assert_eq!(world.payload(), expected.concat());
    assert!(!world.sealed.as_ref().unwrap().inexact);
    // One of another database in between.
    world.step(&[in_db(3, waits(5, "BLPOP m 0"))]);
    assert_eq!(world.told(), ["5 [m b]"]);
    world.step(&[in_db(3, waits(8, "BLPOP moved 0"))]);
    world.run(&["RPUSH moved x", "MOVE moved 3"]);
    let expected = [
        command("SELECT 0"),
        command("RPUSH moved x"),
        command("MOVE moved 3"),
        "#p 7 -1 8 1\n".into(),
        command("SELECT 3"),
        command("LMPOP 1 moved LEFT"),
    ];
    assert_eq!(world.payload(), expected.concat());
}

#[test]
fn a_transaction_is_a_unit() {
    let mut world = World::new();
    world.park(1, "BLPOP l 0");
    assert_eq!(world.exec(&["LPUSH l a", "DEL l"]), "*2\r\n:1\r\n:1\r\n");
    assert_eq!(world.told(), [] as [&str; 0]);
    assert_eq!(world.exec(&["LPUSH l a", "DEL l", "SET l x"]), "*3\r\n:1\r\n:1\r\n+OK\r\n");
    assert_eq!(world.told(), [] as [&str; 0]);
    assert_eq!(
        world.exec(&["DEL l", "RPUSH l a", "LPUSH l b", "LLEN l"]).lines().last(),
        Some(":2")
    );
    assert_eq!(world.told(), ["1 [l b]"]);
    assert_eq!(
        world.logged(),
        ["MULTI", "0 DEL l", "0 RPUSH l a", "0 LPUSH l b", "EXEC", "0 LMPOP 1 l LEFT"]
    );
    // One by one it is another matter.
    let mut world = World::new();
    world.park(1, "BLPOP l 0");
    assert_eq!(world.run(&["LPUSH l a", "DEL l"]), ":1\r\n:0\r\n");
    assert_eq!(world.told(), ["1 [l a]"]);
}

/// Who waits in a transaction takes what there is; the others get what it leaves.
#[test]
fn a_transaction_serves_itself_first() {
    let mut world = World::new();
    world.park(1, "BLPOP l 0");
    let answered = world.exec(&["RPUSH l a b", "BLPOP l 0", "BLPOP none 0"]);
    assert_eq!(words(&answered), "[2 [l a] nil]");
    assert_eq!(world.told(), ["1 [l b]"]);
}

#[test]
fn reads_see_the_state_where_they_stand() {
    let mut world = World::new();
    world.park(1, "BLPOP l 0");
    let answered = world.run(&["LLEN l", "RPUSH l a b", "LLEN l", "RPUSH l c", "LRANGE l 0 -1"]);
    assert_eq!(answered, ":0\r\n:2\r\n:1\r\n:2\r\n*2\r\n$1\r\nb\r\n$1\r\nc\r\n");
    assert_eq!(world.told(), ["1 [l a]"]);
    let mut world = World::new();
    world.park(1, "BLPOP l 0");
    let answered = world.exec(&["RPUSH l a", "LLEN l"]);
    assert_eq!(answered, "*2\r\n:1\r\n:1\r\n");
    // And a run behind another's transaction.
    let mut world = World::new();
    world.park(1, "BLPOP l 0");
    let kind = RunKind::Transaction([].into());
    let runs = [Run { kind, ..run(0, &["RPUSH l a", "LLEN l"]) }, run(0, &["LLEN l", "GET x"])];
    assert_eq!(world.step(&runs), ["*2\r\n:1\r\n:1\r\n", ":0\r\n$-1\r\n"]);
}

/// Values come to a key in many ways.
#[test]
fn whatever_puts_a_value_there_serves() {
    for (before, line) in [
        ("RPUSH a 1 2", "RENAME a l"),
        ("RPUSH a 1 2", "RENAMENX a l"),
        ("RPUSH a 1 2", "COPY a l"),
        ("RPUSH a 1", "LMOVE a l LEFT LEFT"),
        ("RPUSH a 1", "RPOPLPUSH a l"),
        ("RPUSH a 1 2", "SORT a STORE l"),
        ("SET x 1", "LPUSH l 1"),
        ("SET x 1", "RPUSH l 1 2"),
    ] {
        let mut world = World::new();
        world.park(1, "BLPOP l 0");
        world.run(&[before]);
        world.run(&[line]);
        assert_eq!(world.told(), ["1 [l 1]"], "{line}");
        assert_eq!(world.logged(), [format!("0 {line}"), "0 LMPOP 1 l LEFT".into()]);
        // In a batch with what was there before it.
        let mut world = World::new();
        world.park(1, "BLPOP l 0");
        world.run(&[before, line]);
        assert_eq!(world.told(), ["1 [l 1]"], "{line}");
    }
    for (before, line) in [
        ("ZADD a 1 m", "RENAME a l"),
        ("ZADD l 1 m", "ZINCRBY l 0 m"),
        ("ZADD a 1 m", "ZUNIONSTORE l 1 a"),
        ("ZADD a 1 m", "ZINTERSTORE l 1 a"),
        ("ZADD a 1 m", "ZDIFFSTORE l 1 a"),
        ("ZADD a 1 m", "ZRANGESTORE l a 0 -1"),
        ("SET x 1", "ZADD l 1 m"),
        ("SET x 1", "ZADD l INCR 1 m"),
    ] {
        let mut world = World::new();
        world.park(1, "BZPOPMIN l 0");
        world.run(&[before, line]);
        assert_eq!(world.told(), ["1 [l m 1]"], "{line}");
    }
    let mut world = World::new();
    world.park(1, "BZPOPMIN l 0");
    world.run(&["GEOADD a 0 0 m", "GEOSEARCHSTORE l a FROMLONLAT 0 0 BYRADIUS 1 km STOREDIST"]);
    assert!(world.told()[0].starts_with("1 [l m "), "{:?}", world.told());
    // A payload is bytes.
    let mut world = World::new();
    world.run(&["RPUSH a 1"]);
    let reader = crate::Reader::at(&world.leader, Db(0));
    let payload = reader.dump(b"a").unwrap();
    world.park(1, "BLPOP l 0");
    let mut restore = bytes::BytesMut::new();
    let words: [&[u8]; 4] = [b"RESTORE", b"l", b"0", &payload];
    quorate_resp::write_command(&mut restore, words.into_iter());
    world.step(&[Run { commands: restore.freeze(), ..run(0, &["PING"]) }]);
    assert_eq!(world.told(), ["1 [l 1]"]);
}

#[test]
fn databases_that_change_places_serve() {
    let mut world = World::new();
    world.step(&[in_db(4, run(0, &["RPUSH l a", "RPUSH m b"]))]);
    world.park(1, "BLPOP l 0").park(2, "BLPOP m 0").park(3, "BLPOP n 0");
    world.step(&[in_db(4, waits(4, "BLPOP n 0"))]);
    world.run(&["SWAPDB 0 4"]);
    assert_eq!(world.told(), ["1 [l a]", "2 [m b]"]);
    assert_eq!(world.logged(), ["0 SWAPDB 0 4", "0 LMPOP 1 l LEFT", "0 LMPOP 1 m LEFT"]);
    world.run(&["SWAPDB 0 0"]);
    world.run(&["FLUSHALL"]);
    assert_eq!(world.waiting.len(), 2);
    world.run(&["RPUSH n x"]);
    assert_eq!(world.told(), ["3 [n x]"]);
    world.run(&["RPUSH n y", "COPY n n DB 4"]);
    assert_eq!(world.told(), ["4 [n y]"]);
    assert!(world.waiting.is_empty());
}

#[test]
fn what_one_is_given_others_may_wait_for() {
    let mut world = World::new();
    world.park(1, "BLMOVE a b LEFT RIGHT 0").park(2, "BLPOP b 0");
    assert_eq!(world.run(&["LPUSH a x"]), ":1\r\n");
    assert_eq!(world.told(), ["1 x", "2 [b x]"]);
    assert_eq!(world.logged(), ["0 LPUSH a x", "0 LMOVE a b LEFT RIGHT", "0 LMPOP 1 b LEFT"]);
    assert!(world.waiting.is_empty());
    // In a ring.
    let mut world = World::new();
    world.park(1, "BRPOPLPUSH a b 0").park(2, "BRPOPLPUSH b a 0");
    world.run(&["RPUSH a x"]);
    assert_eq!(world.told(), ["1 x", "2 x"]);
    assert_eq!(world.run(&["LRANGE a 0 -1", "EXISTS b"]), "*1\r\n$1\r\nx\r\n:0\r\n");
    // To itself, which leaves it for the next.
    let mut world = World::new();
    world.park(1, "BRPOPLPUSH a a 0").park(2, "BLMOVE a a LEFT LEFT 0").park(3, "BLPOP a 0");
    world.run(&["RPUSH a x"]);
    assert_eq!(world.told(), ["1 x", "2 x", "3 [a x]"]);
}

/// Nobody waits for the key to which an element is moved, and nobody is passed over because of one
/// who does not find an element elsewhere.
#[test]
fn a_destination_is_not_waited_for() {
    let mut world = World::new();
    world.park(1, "BLMOVE a b LEFT LEFT 0").park(2, "BLMOVE b c LEFT LEFT 0");
    world.park(3, "BLMOVE b d LEFT LEFT 0");
    world.run(&["RPUSH b 1 2"]);
    assert_eq!(world.told(), ["2 1", "3 2"]);
    world.park(2, "BLMOVE x b LEFT LEFT 0").remove_all();
    world.park(1, "BLMOVE a b LEFT LEFT 0");
    let sealed =
        seal_beside(&world.waiting, &world.leader, &[run(0, &["RPUSH b 1"])], &stamp(0), &LIMITS);
    assert_eq!(sealed.taken, 1, "it concerns nobody");
}

impl World {
    fn remove_all(&mut self) -> &mut Self {
        self.waiting.clear();
        assert!(self.waiting.is_empty() && self.waiting.waiters().count() == 0);
        self
    }
}

#[test]
fn who_waits_for_several_keys_gets_one_element() {
    let mut world = World::new();
    world.park(1, "BLPOP a b c b 0").park(2, "BLPOP c 0");
    world.run(&["RPUSH c x", "RPUSH a y", "RPUSH c z"]);
    assert_eq!(world.told(), ["1 [c x]", "2 [c z]"]);
    assert_eq!(world.run(&["LLEN a", "LLEN c"]), ":1\r\n:0\r\n");
    // Of what a transaction leaves, from the key that was changed first.
    let mut world = World::new();
    world.park(1, "BLPOP a b 0");
    world.exec(&["RPUSH b x", "RPUSH a y"]);
    assert_eq!(world.told(), ["1 [b x]"]);
    // Who waits for another key too does not get in front of who came before.
    let mut world = World::new();
    world.park(1, "BLPOP b 0").park(2, "BLPOP a b 0").park(3, "BLPOP a 0");
    world.exec(&["RPUSH a x", "DEL a", "RPUSH b y"]);
    assert_eq!(world.told(), ["1 [b y]"]);
    world.exec(&["RPUSH a x", "RPUSH b y"]);
    assert_eq!(world.told(), ["2 [a x]"]);
    assert_eq!(world.waiting.len(), 1);
    let mut world = World::new();
    // The same for sorted sets.
    world.park(1, "BZPOPMAX s t 0").park(2, "BZMPOP 0 2 s t MIN COUNT 5");
    world.run(&["ZADD t 1 a 2 b 3 c"]);
    assert_eq!(world.told(), ["1 [t c 3]", "2 [t [[a 1] [b 2]]]"]);
}

#[test]
fn a_key_of_another_type_is_an_error_at_first_and_passed_over_then() {
    for line in [
        "BLPOP none s l 0",
        "BRPOP s 0",
        "BLMPOP 0 1 s LEFT",
        "BLMOVE s l LEFT LEFT 0",
        "BRPOPLPUSH s l 0",
        "BZPOPMIN none s 0",
        "BZMPOP 0 1 s MAX",
    ] {
        let mut world = World::new();
        world.run(&["SET s x"]);
        assert_eq!(world.step(&[waits(1, line)]), [format!("{WRONG}\r\n")], "{line}");
        assert!(world.waiting.is_empty());
        assert_eq!(world.exec(&[line]), format!("*1\r\n{WRONG}\r\n"), "{line}");
        // It waited at another leader before.
        let registration = Registration { waiter: waiter(1), since_ms: 5, applied: 9, again: true };
        let again = Run { kind: RunKind::Wait(registration), ..run(0, &[line]) };
        assert_eq!(world.step(&[again]), [] as [&str; 0], "{line}");
        assert_eq!(world.waiting.len(), 1, "{line}");
    }
    let mut world = World::new();
    world.park(1, "BLPOP a b 0").park(2, "BZPOPMIN a b 0");
    world.exec(&["ZADD a 1 m", "RPUSH b x"]);
    assert_eq!(world.told(), ["2 [a m 1]", "1 [b x]"]);
    world.park(1, "BLPOP a b 0");
    world.run(&["SET a x", "RPUSH b y"]);
    assert_eq!(world.told(), ["1 [b y]"]);
    // Before the first key that has something.
    let mut world = World::new();
    world.run(&["RPUSH l x", "SET s x"]);
    world.wait(1, "BLPOP none l s 0");
    assert_eq!(world.told(), ["1 [l x]"]);
}

#[test]
fn a_destination_of_another_type_is_an_error_once_there_is_something() {
    for line in ["BLMOVE a s LEFT LEFT 0", "BRPOPLPUSH a s 0"] {
        let mut world = World::new();
        world.run(&["SET s x"]);
        world.park(1, line).park(2, "BLPOP a 0");
        world.run(&["RPUSH a x"]);
        assert_eq!(world.told(), [format!("1 {WRONG}"), "2 [a x]".into()], "{line}");
        world.run(&["RPUSH a x"]);
        assert_eq!(world.step(&[waits(1, line)]), [format!("{WRONG}\r\n")], "{line}");
        assert_eq!(world.run(&["LLEN a"]), ":1\r\n");
    }
}

#[test]
fn who_is_out_of_memory_or_disk_does_not_wait() {
    let mut world = World::new();
    let full = SealLimits { refuse_writes: Some(Refusal::DiskFull), expire_max: 0 };
    let refused = world.step_within(&[waits(1, "BLPOP l 0")], &full);
    assert!(refused[0].starts_with("-MISCONF The disk is full"), "{refused:?}");
    assert!(world.waiting.is_empty());
    world.run(&["SET some thing"]);
    for keyspace in [&mut world.leader, &mut world.follower] {
        keyspace.set_setting("maxmemory", "1").unwrap();
    }
    let refused = world.step(&[waits(1, "BLMOVE a b LEFT LEFT 0")]);
    assert!(refused[0].starts_with("-OOM "), "{refused:?}");
    world.park(1, "BLPOP l 0");
}

#[test]
fn who_registers_again_keeps_the_place() {
    let mut world = World::new();
    let at = |id, since_ms| registered(id, since_ms, "BLPOP l 0");
    // The later place comes first, as it may at a new leader; then both again.
    world.step(&[at(2, NOW - 5), at(1, NOW - 9), at(3, NOW - 5)]);
    world.step(&[at(2, NOW - 5), at(1, NOW - 9)]);
    assert_eq!(world.waiting.len(), 3);
    assert_eq!(world.waiting.bytes(), 3 * super::command("BLPOP l 0").len());
    world.run(&["RPUSH l a b c"]);
    assert_eq!(world.told(), ["1 [l a]", "2 [l b]", "3 [l c]"]);
    // With another time it is another wait.
    world.step(&[at(1, NOW), at(2, NOW), at(1, NOW + 3)]);
    world.run(&["RPUSH l a b"]);
    assert_eq!(world.told(), ["2 [l a]", "1 [l b]"]);
    assert!(world.waiting.is_empty() && world.waiting.bytes() == 0);
}

#[test]
fn who_leaves_is_not_served() {
    let mut world = World::new();
    world.park(1, "BLPOP a b 0").park(2, "BLPOP b 0").park(3, "BZPOPMIN a 0");
    assert!(world.waiting.remove(waiter(1)));
    assert!(!world.waiting.remove(waiter(1)) && !world.waiting.remove(waiter(9)));
    world.run(&["RPUSH a x", "RPUSH b y"]);
    assert_eq!(world.told(), ["2 [b y]"]);
    assert_eq!(world.waiting.waiters().collect::<Vec<_>>(), [waiter(3)]);
    world.remove_all();
    assert_eq!(world.run(&["DEL a", "ZADD a 1 m"]), ":1\r\n:1\r\n");
    assert_eq!(world.told(), [] as [&str; 0]);
}

/// Who begins to wait in a batch, and what serves it there.
#[test]
fn one_batch_may_hold_all_of_it() {
    let mut world = World::new();
    let runs = [
        run(0, &["RPUSH l a"]),
        waits(1, "BLPOP l 0"),
        waits(2, "BLPOP l 0"),
        waits(3, "BLMOVE l m LEFT LEFT 0"),
        run(0, &["LLEN l", "RPUSH l b", "GET none"]),
        waits(4, "BLPOP m 0"),
        run(0, &["RPUSH l c"]),
        waits(5, "BLPOP m x"),
    ];
    let answered = world.step(&runs);
    let float = "-ERR timeout is not a float or out of range\r\n";
    assert_eq!(answered, [":1\r\n", ":0\r\n:1\r\n$-1\r\n", ":1\r\n", float]);
    assert_eq!(world.told(), ["1 [l a]", "2 [l b]", "3 c", "4 [m c]"]);
    assert_eq!(world.sealed.as_ref().unwrap().parked, [1, 2, 3, 5]);
    assert_eq!(
        world.logged(),
        [
            "0 RPUSH l a",
            "0 LMPOP 1 l LEFT",
            "0 RPUSH l b",
            "0 LMPOP 1 l LEFT",
            "0 RPUSH l c",
            "0 LMOVE l m LEFT LEFT",
            "0 LMPOP 1 m LEFT"
        ]
    );
}

/// Whoever is not concerned is sealed as ever.
#[test]
fn a_batch_is_rehearsed_only_for_those_who_wait() {
    let mut world = World::new();
    world.park(1, "BLPOP l 0").park(2, "BZPOPMIN z 0");
    let taken = |lines: &[&str]| {
        let runs = [run(0, &["SET before 1"]), run(0, lines)];
        seal_beside(&world.waiting, &world.leader, &runs, &stamp(0), &LIMITS).taken
    };
    for lines in [&["SET x 1", "RPUSH m 1"][..], &["GET l", "LLEN z"], &["MULTI"], &["NOPE l"]] {
        assert_eq!(taken(lines), 2, "{lines:?}");
    }
    for lines in
        [&["RPUSH m 1", "RPUSH l 1"][..], &["DEL z"], &["FLUSHDB"], &["SWAPDB 3 4"], &["MOVE a 1"]]
    {
        assert_eq!(taken(lines), 1, "{lines:?}");
    }
    // Another database is another key.
    let other = [in_db(1, run(0, &["RPUSH l 1"]))];
    assert_eq!(seal_beside(&world.waiting, &world.leader, &other, &stamp(0), &LIMITS).taken, 1);
}

/// A key that became due while somebody waited goes before it is served, so that who only reads the
/// log makes the same of it.
#[test]
fn what_became_due_goes_first() {
    let mut world = World::new();
    world.run(&["RPUSH d old", "PEXPIRE d 100", "RPUSH e old", "PEXPIRE e 100"]);
    world.park(1, "BLMOVE l d LEFT RIGHT 0");
    world.after_ms = 200;
    world.run(&["RPUSH l new"]);
    assert_eq!(world.told(), ["1 new"]);
    assert_eq!(world.logged(), ["0x UNLINK d", "0 RPUSH l new", "0 LMOVE l d LEFT RIGHT"]);
    assert_eq!(world.run(&["LRANGE d 0 -1"]), "*1\r\n$3\r\nnew\r\n");
    // The same for who comes now; what is due is not there.
    world.park(2, "BLPOP e 0");
    world.run(&["RPUSH e x"]);
    assert_eq!(world.told(), ["2 [e x]"]);
    // At the head, though it was found behind what changed.
    world.run(&["RPUSH s old", "PEXPIRE s 100"]);
    world.after_ms = 400;
    let answered = world.step(&[run(0, &["RPUSH l 1"]), waits(3, "BLMOVE l s LEFT RIGHT 0")]);
    assert_eq!(answered, [":1\r\n"]);
    assert_eq!(world.logged(), ["0x UNLINK s", "0 RPUSH l 1", "0 LMOVE l s LEFT RIGHT"]);
}

/// Whoever does not wait gets no place, and a run that says it does and has another command is
/// answered.
#[test]
fn only_commands_that_wait_do() {
    let mut world = World::new();
    let internal = "-ERR internal: the command did not arrive as it was sent\r\n";
    for line in ["SET a b", "GET a", "XREADGROUP GROUP g c STREAMS s >", "BLPOP a", "NOPE"] {
        assert_eq!(world.step(&[waits(1, line)]), [internal], "{line}");
    }
    let two = Run { kind: waits(1, "BLPOP a 0").kind, ..run(0, &["BLPOP a 0", "BLPOP a 0"]) };
    assert_eq!(world.step(&[two]), [internal]);
    assert!(world.waiting.is_empty());
}

/// Many who wait for few keys, served by a mixture of everything: everybody gets what is there as
/// soon as it is, the first who came first.
#[test]
fn nobody_waits_for_what_is_there() {
    let mut world = World::new();
    let mut seed = 5_u64;
    let mut draw = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let keys = ["a", "b", "c"];
    let mut asked: BTreeMap<u64, String> = BTreeMap::new();
    for id in 0..600 {
        let mut key = || keys[draw(3) as usize];
        let (one, other, third) = (key(), key(), key());
        let line = match draw(10) {
            0 => format!("RPUSH {one} {id}"),
            1 => format!("RPUSH {one} {id};LPUSH {other} x {id}"),
            2 => format!("RENAME {one} {other}"),
            3 => format!("LMOVE {one} {other} LEFT RIGHT"),
            4 => format!("DEL {one} {other}"),
            5 | 6 => format!("BLPOP {one} {other} 0"),
            7 => format!("BLMOVE {one} {other} LEFT RIGHT 0"),
            8 => format!("BLMPOP 0 2 {one} {third} RIGHT COUNT 2"),
            _ => format!("BRPOPLPUSH {one} {other} 0"),
        };
        if line.starts_with('B') {
            world.wait(id, &line);
            asked.insert(id, line);
        } else {
            world.exec(&line.split(';').collect::<Vec<_>>());
        }
        for (id, _) in &world.told {
            assert!(asked.remove(id).is_some());
        }
        assert!(world.waiting.waiters().map(|waiter| waiter.id).eq(asked.keys().copied()));
        let reader = crate::Reader::at(&world.leader, Db(0));
        let there: Vec<&str> =
            keys.into_iter().filter(|key| reader.exists(key.as_bytes())).collect();
        for line in asked.values() {
            let words: Vec<&str> = line.split(' ').collect();
            let waited = match words[0] {
                "BLPOP" => &words[1..3],
                "BLMPOP" => &words[3..5],
                _ => &words[1..2],
            };
            assert!(!waited.iter().any(|key| there.contains(key)), "{line}: {there:?}");
        }
    }
    assert!(world.leader.applied_index() > 200);
}
