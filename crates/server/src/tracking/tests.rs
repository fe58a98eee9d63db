//! Whoever keeps a copy hears of its next change, in the words of its protocol; nobody hears of
//! what it need not know, where that is known.

use super::*;
use crate::clients::{BROKEN, Clients, Peer};
use crate::command::registry;
use bytes::BytesMut;
use quorate_engine::Db;
use quorate_resp::{Limits, Parser, Reply, write_command};
use std::net::SocketAddr;

struct World {
    clients: Clients,
    tracking: Arc<Tracking>,
    index: u64,
}

/// A connection that nobody serves, and what it keeps copies of.
struct Session(Arc<Peer>, Tracker);

impl Session {
    fn got(&self) -> String {
        let mut got = BytesMut::new();
        let alone = self.0.take_pushed(&mut got, usize::MAX);
        got.extend_from_slice(&alone);
        let text = String::from_utf8_lossy(&got).replace("\r\n", " ");
        text.replace(">2 $10 invalidate ", "!").trim_end().to_owned()
    }

    fn with(
        &mut self,
        line: &str,
        work: impl FnOnce(&mut Tracker, &crate::registry::Entry, quorate_resp::Args<'_>),
    ) {
        let mut bytes = BytesMut::new();
        let words: Vec<_> = line.split(' ').map(str::as_bytes).collect();
        write_command(&mut bytes, words.into_iter());
        let mut parser = Parser::default();
        parser.parse(&bytes, &Limits::stored()).expect("a command");
        let args = parser.args(&bytes);
        let entry = registry().resolve(args).expect("a known command");
        work(&mut self.1, entry, args);
    }

    fn read(&mut self, line: &str) {
        self.with(line, Tracker::read);
    }

    /// A run of these leaves.
    fn depart(&mut self, lines: &[&str]) {
        for line in lines {
            self.with(line, Tracker::gather);
        }
        self.1.depart();
    }

    fn arrive(&mut self, index: u64, commands: (u32, u32)) {
        self.1.arrive(Some(Shown { index, commands }));
    }

    fn turn_on(&mut self, options: Options, prefixes: &[&str]) -> Result<(), String> {
        let prefixes: Vec<_> = prefixes.iter().map(|prefix| prefix.as_bytes()).collect();
        self.1.turn_on(options, &prefixes).map_err(|refusal| match refusal {
            Reply::Error(line) => String::from_utf8_lossy(line.as_bytes()).into_owned(),
            other => format!("{other:?}"),
        })
    }
}

impl World {
    fn new() -> Self {
        let tracking = Arc::new(Tracking::new(Arc::default()));
        tracking.keeps_up(true);
        Self { clients: Clients::default(), tracking, index: 0 }
    }

    fn session(&self) -> Session {
        let address: SocketAddr = ([127, 0, 0, 1], 1).into();
        let peer = self.clients.add(address, address, 0);
        peer.resp3.store(true, Relaxed);
        let tracker = Tracker::new(&self.tracking, &peer);
        Session(peer, tracker)
    }

    fn tracker(&self, options: Options) -> Session {
        let mut session = self.session();
        session.turn_on(options, &[]).expect("these options fit");
        session
    }

    /// An entry of which each command changes one of these keys; its index.
    fn change(&mut self, keys: &[&str]) -> u64 {
        self.index += 1;
        let mut keyspace = quorate_engine::Keyspace::new([1, 2]);
        keyspace.note_changes(true);
        let mut commands = BytesMut::new();
        for key in keys {
            write_command(&mut commands, [&b"SET"[..], key.as_bytes(), b"v"].into_iter());
        }
        let run = quorate_engine::Run {
            db: Db(0),
            proto: quorate_resp::Proto::Resp2,
            count: keys.len() as u32,
            commands: commands.freeze(),
            kind: quorate_engine::RunKind::Commands,
        };
        let stamp = quorate_engine::Stamp { now_ms: 1, seed: 1 };
        let limits = quorate_engine::SealLimits::default();
        let sealed = quorate_engine::seal(&keyspace, &[run], &stamp, &limits);
        let at = quorate_engine::Applied { index: self.index, stamp };
        let outcome = quorate_engine::apply(&mut keyspace, at, &sealed.payload, None);
        self.tracking.changed(&outcome.expect("it was just sealed").effects.changed);
        self.index
    }

    fn empty(&mut self) -> u64 {
        self.index += 1;
        let mut changed = Changed::default();
        (changed.index, changed.dbs) = (self.index, 1);
        self.tracking.changed(&changed);
        self.index
    }
}

fn noloop() -> Options {
    Options { noloop: true, ..Options::default() }
}

fn bcast() -> Options {
    Options { bcast: true, ..Options::default() }
}

#[test]
fn a_key_is_told_once_to_each_who_has_read_it() {
    let mut world = World::new();
    let (mut one, mut two) = (world.tracker(Options::default()), world.tracker(Options::default()));
    one.read("MGET a b");
    one.read("GET a");
    two.read("GET a");
    two.read("SORT c");
    let figures = Figures { clients: 2, keys: 2, items: 3, prefixes: 0 };
    assert_eq!(world.tracking.figures(), figures);
    world.change(&["a", "a", "c"]);
    assert_eq!((one.got(), two.got()), ("!*1 $1 a".into(), "!*1 $1 a".into()));
    world.change(&["a", "b"]);
    assert_eq!((one.got(), two.got()), ("!*1 $1 b".into(), String::new()));
    one.read("GET a");
    one.1.turn_off();
    one.turn_on(Options::default(), &[]).expect("it begins anew");
    world.change(&["a"]);
    assert_eq!(one.got(), "", "it has forgotten what was before");
    drop((one, two));
    assert_eq!(world.tracking.figures(), Figures::default());
    assert!(!world.tracking.has_any() && !world.tracking.wanted().any());
}

#[test]
fn only_what_is_asked_for_is_noted() {
    let mut world = World::new();
    let mut optin = world.tracker(Options { optin: true, ..Options::default() });
    optin.read("GET a");
    optin.1.set_caching();
    optin.read("GET b");
    optin.read("GET c");
    let mut optout = world.tracker(Options { optout: true, ..Options::default() });
    optout.1.set_caching();
    optout.read("GET a");
    optout.read("GET b");
    world.change(&["a", "b", "c"]);
    assert_eq!((optin.got(), optout.got()), ("!*1 $1 b".into(), "!*1 $1 b".into()));
}

#[test]
fn prefixes_are_told_of_every_change_entry_by_entry() {
    let mut world = World::new();
    let mut some = world.session();
    some.turn_on(bcast(), &["a:", "b"]).expect("they do not overlap");
    let all = world.tracker(bcast());
    world.change(&["b2", "a:1", "c", "b1", "b1"]);
    assert_eq!(some.got(), "!*1 $3 a:1 !*2 $2 b1 $2 b2");
    assert_eq!(all.got(), "!*4 $3 a:1 $2 b1 $2 b2 $1 c");
    some.turn_on(bcast(), &["c"]).expect("one more");
    world.change(&["c"]);
    assert_eq!((some.got(), all.got()), ("!*1 $1 c".into(), "!*1 $1 c".into()));
    assert_eq!(world.tracking.figures().prefixes, 4);
    some.1.turn_off();
    assert_eq!(world.tracking.figures().prefixes, 1);
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let world = World::new();
    let mut session = world.session();
    let mut refused = |options: &Options, prefixes: &[&str]| {
        session.turn_on(options.clone(), prefixes).expect_err("it is refused")
    };
    let both = Options { optin: true, optout: true, ..Options::default() };
    assert_eq!(refused(&both, &[]), "ERR You can't specify both OPTIN mode and OPTOUT mode");
    let optin = Options { optin: true, ..Options::default() };
    let text = "ERR PREFIX option requires BCAST mode to be enabled";
    assert_eq!(refused(&optin, &["a"]), text);
    let both = Options { bcast: true, ..optin };
    assert_eq!(refused(&both, &[]), "ERR OPTIN and OPTOUT are not compatible with BCAST");
    let text = |one: &str, which: &str, other: &str| {
        format!(
            "ERR Prefix '{one}' overlaps with {which} prefix '{other}'. Prefixes for a single \
             client must not overlap."
        )
    };
    let given = "another provided";
    assert_eq!(refused(&bcast(), &["x", "FOOBAR", "FOO"]), text("FOOBAR", given, "FOO"));
    assert_eq!(refused(&bcast(), &["FOO", "FOOBAR"]), text("FOO", given, "FOOBAR"));
    assert_eq!(refused(&bcast(), &["a", ""]), text("a", given, ""));
    assert_eq!(world.tracking.figures().clients, 0);

    session.turn_on(bcast(), &["FOO", "BAR", "BAZ"]).expect("they do not overlap");
    let mut refused = |prefix| session.turn_on(bcast(), &[prefix]).expect_err("it is refused");
    for (prefix, other) in [("FO", "FOO"), ("BARB", "BAR"), ("FOO", "FOO"), ("BA", "BAR")] {
        assert_eq!(refused(prefix), text(prefix, "an existing", other));
    }
    session.turn_on(bcast(), &[]).expect("everything, as in Redis");
    let text = text("GOO", "an existing", "");
    assert_eq!(session.turn_on(bcast(), &["GOO"]).expect_err("it is refused"), text);
    assert!(session.turn_on(Options::default(), &[]).is_err(), "another mode");
}

#[test]
fn somebody_else_is_told_in_its_place_while_it_is_there() {
    let mut world = World::new();
    let (other, old) = (world.session(), world.session());
    old.0.resp3.store(false, Relaxed);
    let to =
        |session: &Session| Options { redirect: Some(session.0.clone()), ..Options::default() };
    let (mut one, mut two) = (world.tracker(to(&other)), world.tracker(to(&old)));
    one.read("GET a");
    two.read("GET a");
    world.change(&["a"]);
    assert_eq!(
        (one.got(), other.got().as_str(), old.got()),
        (String::new(), "!*1 $1 a", String::new())
    );
    old.0.subscriptions[1].store(1, Relaxed);
    two.read("GET a");
    world.change(&["a"]);
    world.empty();
    let message = "*3 $7 message $20 __redis__:invalidate";
    assert_eq!(old.got(), format!("{message} *1 $1 a {message} $-1"));
    assert_eq!(other.got(), "!_");
    other.0.set_gone();
    one.read("GET a");
    world.change(&["a"]);
    assert_eq!(one.got(), format!(">2 $21 tracking-redir-broken :{}", other.0.id));
    assert!(one.1.is_broken() && one.0.tracking.load(Relaxed) & BROKEN != 0);
    one.turn_on(Options::default(), &[]).expect("it is told itself now");
    assert!(!one.1.is_broken());
    one.read("GET a");
    world.change(&["a"]);
    assert_eq!(one.got(), "!*1 $1 a");
}

#[test]
fn all_is_forgotten_when_all_may_have_changed() {
    let mut world = World::new();
    let mut one = world.tracker(Options::default());
    let mut all = world.tracker(bcast());
    let happens: [fn(&mut World); 3] = [
        |world| assert!(world.empty() > 0),
        |world| world.tracking.replaced(),
        |world| world.tracking.keeps_up(false),
    ];
    for what in happens {
        one.read("GET a");
        world.tracking.keeps_up(true);
        what(&mut world);
        assert_eq!((one.got().as_str(), all.got().as_str()), ("!_", "!_"));
        assert_eq!(world.tracking.figures().keys, 0);
        world.change(&["a"]);
        assert_eq!((one.got().as_str(), all.got().as_str()), ("", "!*1 $1 a"));
    }
    one.read("GET a");
    all.read("GET a");
    assert_eq!((one.got().as_str(), all.got().as_str()), ("!_", "!_"), "nothing lasts now");
    world.tracking.keeps_up(true);
    one.read("GET a");
    all.read("GET a");
    assert_eq!((one.got().as_str(), all.got().as_str()), ("", ""));
}

#[test]
fn what_its_own_run_changes_is_told_behind_the_replies_or_not_at_all() {
    let mut world = World::new();
    for (options, told) in [(Options::default(), "!*1 $1 a"), (noloop(), "")] {
        let mut one = world.tracker(options.clone());
        one.read("MGET a b c");
        one.depart(&["INCR a", "APPEND b x"]);
        let before = world.change(&["b", "c"]);
        assert_eq!(one.got(), "!*1 $1 c", "what it does not name is told at once");
        let own = world.change(&["x", "a", "y"]);
        assert_eq!(one.got(), "");
        assert!(before < own);
        one.arrive(own, (1, 1));
        assert_eq!(one.got(), format!("{told} !*1 $1 b").trim_start());
        world.change(&["a"]);
        assert_eq!(one.got().is_empty(), !options.noloop, "the copy of its own write is kept");
    }
}

#[test]
fn who_changed_a_key_counts_also_for_prefixes() {
    let mut world = World::new();
    let mut one = world.tracker(Options { noloop: true, ..bcast() });
    let mut loops = world.tracker(bcast());
    for session in [&mut one, &mut loops] {
        session.depart(&["MSET a 1 b 1"]);
    }
    let own = world.change(&["a", "b", "c", "b"]);
    assert_eq!((one.got(), loops.got()), ("!*1 $1 c".into(), "!*1 $1 c".into()));
    one.arrive(own, (0, 2));
    loops.arrive(own, (0, 2));
    assert_eq!((one.got(), loops.got()), ("!*1 $1 b".into(), "!*2 $1 a $1 b".into()));
}

#[test]
fn what_a_run_reads_is_known_before_it_leaves() {
    let mut world = World::new();
    let mut one = world.tracker(Options::default());
    one.depart(&["SET x 1", "GET a", "GET b", "GET c"]);
    world.change(&["a"]);
    let shown = world.change(&["x", "y"]);
    world.change(&["b"]);
    assert_eq!(one.got(), "", "its replies come first");
    one.arrive(shown, (0, 1));
    assert_eq!(one.got(), "!*1 $1 b");
    world.change(&["a", "b", "c", "x"]);
    assert_eq!(one.got(), "!*1 $1 a !*1 $1 c");

    one.depart(&["SET x 1", "GET a"]);
    world.change(&["a"]);
    one.1.arrive(None);
    world.change(&["a"]);
    assert_eq!((one.got().as_str(), world.tracking.figures().keys), ("", 0), "nothing was read");

    one.depart(&["SET x 1", "GET a"]);
    let shown = world.empty();
    assert_eq!(one.got(), "!_");
    one.arrive(shown, (0, 1));
    assert_eq!(one.got(), "!_", "the reply may be older");
    one.depart(&["FLUSHALL"]);
    let shown = world.empty();
    assert_eq!(one.got(), "");
    one.arrive(shown, (0, 1));
    assert_eq!(one.got(), "!_");
}

#[test]
fn the_table_has_a_limit() {
    let mut world = World::new();
    world.tracking.set_keys_max(10);
    let mut one = world.tracker(Options::default());
    for key in 0..30 {
        one.read(&format!("GET {key}"));
    }
    assert_eq!(world.tracking.figures().keys, 10);
    assert_eq!(one.got().matches('!').count(), 20);
    world.tracking.set_keys_max(3);
    assert_eq!((world.tracking.figures().keys, one.got().matches('!').count()), (3, 7));
    let mut many: Vec<_> = (0..100).map(|_| world.tracker(Options::default())).collect();
    for session in &mut many {
        session.read("GET same");
    }
    assert!(world.tracking.figures().items <= 3 * READERS_PER_KEY);
    world.tracking.set_keys_max(0);
    one.read("MGET a b c d e f");
    // Nobody is left but one, and the others are swept out.
    drop(many);
    for key in 0..100 {
        one.read(&format!("GET {key}"));
    }
    let figures = world.tracking.figures();
    assert_eq!(figures.items, figures.keys);
    one.depart(&["SET x 1", "GET y"]);
    world.tracking.set_keys_max(1);
    one.got();
    one.arrive(0, (0, 0));
    let last = world.tracking.figures();
    world.change(&["y"]);
    assert!(one.got().contains("$1 y"), "{last:?}");
}
