//! Commands about the connection: who the client is and how it wants to be talked to.
//!
//! AUTH and HELLO change the session's state; everything else only looks.

use super::{Call, Mode, NODE, ReplyMode, Row, Run, int, is, not_an_integer, syntax_error};
use crate::settings::Tuned;
use crate::transaction::Transaction;
use quorate_engine::{Db, Flags, Group, Keys, exactly, least};
use quorate_resp::{Args, Proto, Reply, up_to_zero};
use std::sync::atomic::Ordering::Relaxed;

const NO_AUTH: Flags = Flags::NO_AUTH.and(Flags::FAST);
const SECRET: Flags = NO_AUTH.and(Flags::SECRET).and(Flags::SKIP_SLOWLOG);

/// The rows.
pub(super) const ROWS: &[Row] = &[
    Row::new("AUTH", "[username] password", Run::Here(auth))
        .facts(least(2), Keys::None, NODE.and(SECRET))
        .doc("1.0.0", "Authenticates the connection.")
        .group(Group::Connection),
    Row::new("HELLO", "[protover [AUTH username password] [SETNAME clientname]]", Run::Here(hello))
        .facts(least(1), Keys::None, NODE.and(SECRET))
        .doc("6.0.0", "Chooses the protocol, and may authenticate.")
        .group(Group::Connection),
    Row::new("PING", "[message]", Run::Here(ping))
        .facts(least(1), Keys::None, Flags::STALE.and(Flags::FAST))
        .doc("1.0.0", "Answers PONG, or its argument.")
        .group(Group::Connection),
    Row::new("ECHO", "message", Run::Here(echo))
        .facts(exactly(2), Keys::None, NODE.and(Flags::FAST))
        .doc("1.0.0", "Answers its argument.")
        .group(Group::Connection),
    Row::new("SELECT", "index", Run::Here(select))
        .facts(exactly(2), Keys::None, NODE.and(Flags::FAST))
        .doc("1.0.0", "Chooses the database.")
        .group(Group::Connection),
    Row::new("QUIT", "", Run::Here(quit))
        .facts(least(1), Keys::None, NODE.and(NO_AUTH).and(Flags::UNQUEUED))
        .doc("1.0.0", "Closes the connection.")
        .group(Group::Connection),
    Row::new("RESET", "", Run::Here(reset))
        .facts(exactly(1), Keys::None, NODE.and(NO_AUTH).and(Flags::UNQUEUED))
        .doc("6.2.0", "Puts the connection back to its beginning.")
        .group(Group::Connection),
    Row::new("READONLY", "", Run::Here(readonly))
        .facts(exactly(1), Keys::None, NODE.and(Flags::FAST))
        .doc("3.0.0", "Lets this connection read what is applied on its node.")
        .filed(&["connection"])
        .group(Group::Cluster),
    Row::new("READWRITE", "", Run::Here(readwrite))
        .facts(exactly(1), Keys::None, NODE.and(Flags::FAST))
        .doc("3.0.0", "Makes reads of this connection linearizable again.")
        .filed(&["connection"])
        .group(Group::Cluster),
];

const WRONG_PASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";

fn auth(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    match args.len() {
        2 if call.client.tuned.password.is_none() => Reply::error(
            "ERR AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?",
        ),
        2 => authenticate(call, b"default", args.at(1)),
        3 => authenticate(call, args.at(1), args.at(2)),
        _ => syntax_error(),
    }
}

fn authenticate(call: &mut Call<'_>, user: &[u8], password: &[u8]) -> Reply<'static> {
    if accepts(&call.client.tuned, user, password) {
        call.client.set_authenticated(true);
        return Reply::OK;
    }
    tracing::warn!(address = %call.client.peer.address, "a client gave a wrong password");
    Reply::error(WRONG_PASS)
}

/// There is one user. Without a password it accepts any, as Redis's `nopass` does.
fn accepts(tuned: &Tuned, user: &[u8], password: &[u8]) -> bool {
    let fits = tuned.password.as_ref().is_none_or(|secret| secret.is(password));
    fits && user == b"default"
}

/// What `HELLO`'s options ask for.
#[derive(Default)]
struct Greeting<'a> {
    auth: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

fn greeting(args: Args<'_>) -> Result<Greeting<'_>, Reply<'static>> {
    let mut greeting = Greeting::default();
    let mut at = 2;
    while let Some(option) = args.get(at) {
        let left = args.len() - at - 1;
        if is(option, "AUTH") && left >= 2 {
            greeting.auth = Some((args.at(at + 1), args.at(at + 2)));
            at += 3;
        } else if is(option, "SETNAME") && left >= 1 {
            greeting.name = Some(args.at(at + 1));
            at += 2;
        } else {
            let option = up_to_zero(option);
            return Err(Reply::error_of(&[b"ERR Syntax error in HELLO option '", option, b"'"]));
        }
    }
    Ok(greeting)
}

fn hello(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let version = match args.get(1).map(int) {
        None => None,
        Some(Some(2)) => Some(Proto::Resp2),
        Some(Some(3)) => Some(Proto::Resp3),
        Some(Some(_)) => return Reply::error("NOPROTO unsupported protocol version"),
        Some(None) => {
            return Reply::error("ERR Protocol version is not an integer or out of range");
        }
    };
    let greeting = match greeting(args) {
        Ok(greeting) => greeting,
        Err(refusal) => return refusal,
    };
    if let Some((user, password)) = greeting.auth {
        let answer = authenticate(call, user, password);
        if answer.is_error() {
            return answer;
        }
    }
    if !call.client.authenticated {
        return Reply::error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        );
    }
    if let Some(name) = greeting.name {
        match super::client::sound_name(name) {
            Ok(name) => call.client.peer.names().name = name,
            Err(refusal) => return refusal,
        }
    }
    if let Some(proto) = version {
        call.client.speak(proto);
    }
    introduction(call)
}

fn introduction(call: &Call<'_>) -> Reply<'static> {
    let word = |text: &'static str| Reply::bulk(text.as_bytes());
    let proto = if call.client.proto == Proto::Resp3 { 3 } else { 2 };
    Reply::Map(vec![
        (word("server"), word("redis")),
        (word("version"), word(super::info::REDIS_VERSION)),
        (word("proto"), Reply::Int(proto)),
        (word("id"), Reply::Int(call.client.peer.id as i64)),
        (word("mode"), word("standalone")),
        (word("role"), word("master")),
        (word("modules"), Reply::Array(Vec::new())),
    ])
}

fn ping(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    match args.len() {
        // A message's form, so that a client that waits for messages can read it.
        1 | 2 if call.client.is_confined() => {
            let word = args.get(1).unwrap_or_default();
            Reply::Array(vec![super::bulk("pong"), super::bulk(word)])
        }
        1 => Reply::Simple("PONG".into()),
        2 => super::bulk(args.at(1)),
        _ => {
            super::error(format!("ERR wrong number of arguments for '{}' command", call.entry.name))
        }
    }
}

fn echo(_: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    super::bulk(args.at(1))
}

fn select(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let Some(number) = int(args.at(1)) else { return not_an_integer() };
    match u8::try_from(number) {
        Ok(number) if number < Db::COUNT => {
            call.client.select(Db(number));
            Reply::OK
        }
        _ => Reply::error("ERR DB index is out of range"),
    }
}

fn quit(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    call.client.closing = true;
    call.client.peer.leaving.store(true, Relaxed);
    Reply::OK
}

fn reset(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    let Call { shared, client, .. } = call;
    shared.clients.set_monitor(&client.peer, false);
    client.subscriptions.leave_all();
    client.tracker.turn_off();
    client.limit_pushes();
    *client.peer.names() = crate::clients::Names::default();
    client.peer.no_evict.store(false, Relaxed);
    client.peer.no_touch.store(false, Relaxed);
    client.select(Db(0));
    client.speak(Proto::Resp2);
    client.set_mode(Mode::Exact);
    client.reply_mode = ReplyMode::On;
    client.transaction = Transaction::default();
    let open = client.tuned.password.is_none();
    client.set_authenticated(open);
    Reply::Simple("RESET".into())
}

fn readonly(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    call.client.set_mode(Mode::Stale);
    Reply::OK
}

fn readwrite(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    call.client.set_mode(Mode::Exact);
    Reply::OK
}
