//! `CLIENT …`: who is connected to this node, and what a connection says about itself.
//!
//! What a connection shows it publishes itself, once a batch ([`clients`](crate::clients)); nothing
//! here waits for another session.

use super::{
    Call, NODE, ReplyMode, Row, Run, bulk, error, int, is, kill, not_an_integer, syntax_error,
    text, tracking,
};
use crate::clients::{Peer, UNBLOCK, UNBLOCK_ERROR};
use crate::shared::Pause;
use quorate_engine::{Flags, Group, Keys, exactly, least};
use quorate_resp::{Args, Reply, up_to_zero};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Bytes of a name; far more than anybody needs, little enough to list ten thousand.
const NAME_BYTES_MAX: usize = 512;
/// The longest pause, in milliseconds.
const PAUSE_MS_MAX: i64 = 24 * 3600 * 1000;

const ADMIN: Flags = Flags::ADMIN.and(Flags::DANGEROUS);

/// The rows.
pub(super) const ROWS: &[Row] = &Group::Connection.rows([
    Row::new("CLIENT", "", Run::Parent)
        .facts(least(2), Keys::None, NODE)
        .doc("2.4.0", "Looks at connections and changes them."),
    Row::new("CLIENT|ID", "", Run::Here(id))
        .facts(exactly(2), Keys::None, NODE)
        .doc("1.0.0", "Answers the connection's id."),
    Row::new("CLIENT|INFO", "", Run::Here(info))
        .facts(exactly(2), Keys::None, NODE)
        .doc("1.0.0", "Describes the connection."),
    Row::new(
        "CLIENT|LIST",
        "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id \
         ...]]",
        Run::Here(list),
    )
    .facts(least(2), Keys::None, NODE.and(ADMIN))
    .doc("1.0.0", "Lists connections."),
    Row::new(
        "CLIENT|KILL",
        "<ip:port | ID client-id | TYPE <NORMAL | MASTER | REPLICA | PUBSUB> | USER username | \
         ADDR ip:port | LADDR ip:port | SKIPME <YES | NO> | MAXAGE seconds ...>",
        Run::Ask(kill::kill),
    )
    .facts(least(3), Keys::None, NODE.and(ADMIN))
    .doc("1.0.0", "Closes connections."),
    Row::new("CLIENT|SETNAME", "connection-name", Run::Here(set_name))
        .facts(exactly(3), Keys::None, NODE)
        .doc("1.0.0", "Names the connection."),
    Row::new("CLIENT|GETNAME", "", Run::Here(get_name))
        .facts(exactly(2), Keys::None, NODE)
        .doc("1.0.0", "Answers the connection's name."),
    Row::new("CLIENT|SETINFO", "<LIB-NAME libname | LIB-VER libver>", Run::Here(set_info))
        .facts(exactly(4), Keys::None, NODE)
        .doc("7.2.0", "Says which library the client uses."),
    Row::new("CLIENT|REPLY", "<ON | OFF | SKIP>", Run::Here(reply))
        .facts(exactly(3), Keys::None, NODE)
        .doc("1.0.0", "Says which replies the client wants."),
    Row::new("CLIENT|PAUSE", "timeout [WRITE | ALL]", Run::Here(pause))
        .facts(least(3), Keys::None, NODE.and(ADMIN))
        .doc("1.0.0", "Holds commands back for a while."),
    Row::new("CLIENT|UNPAUSE", "", Run::Here(unpause))
        .facts(exactly(2), Keys::None, NODE.and(ADMIN))
        .doc("1.0.0", "Ends a pause."),
    Row::new("CLIENT|NO-EVICT", "<ON | OFF>", Run::Here(no_evict))
        .facts(exactly(3), Keys::None, NODE.and(ADMIN))
        .doc("1.0.0", "Notes a wish that has no effect here."),
    Row::new("CLIENT|NO-TOUCH", "<ON | OFF>", Run::Here(no_touch))
        .facts(exactly(3), Keys::None, NODE)
        .doc("1.0.0", "Notes a wish that has no effect here."),
    Row::new("CLIENT|GETREDIR", "", Run::Here(tracking::redirect))
        .facts(exactly(2), Keys::None, NODE)
        .doc("6.0.0", "Answers the id of the connection that is told of keys in this one's place."),
    Row::new("CLIENT|TRACKINGINFO", "", Run::Here(tracking::info))
        .facts(exactly(2), Keys::None, NODE)
        .doc("6.2.0", "Describes which keys the connection keeps copies of."),
    Row::new(
        "CLIENT|TRACKING",
        "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] \
         [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
        Run::Look(tracking::tracking, true),
    )
    .facts(least(3), Keys::None, NODE)
    .doc("6.0.0", "Has the connection told of changes of the keys that it reads."),
    Row::new("CLIENT|CACHING", "<YES | NO>", Run::Here(tracking::caching))
        .facts(exactly(3), Keys::None, NODE)
        .doc("6.0.0", "Says whether the connection keeps copies of what it reads next."),
    Row::new("CLIENT|UNBLOCK", "client-id [TIMEOUT | ERROR]", Run::Here(unblock))
        .facts(least(3), Keys::None, NODE.and(ADMIN))
        .doc("1.0.0", "Wakes a blocked client."),
]);

/// A name as Redis accepts it: printable, without spaces.
pub(super) fn sound_name(name: &[u8]) -> Result<String, Reply<'static>> {
    let sound = name.iter().all(|byte| (b'!'..=b'~').contains(byte));
    if sound && name.len() <= NAME_BYTES_MAX {
        return Ok(text(name).into_owned());
    }
    Err(Reply::error("ERR Client names cannot contain spaces, newlines or special characters."))
}

fn id(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::Int(call.client.peer.id as i64)
}

fn line(call: &Call<'_>, peer: &Peer) -> String {
    peer.line(call.shared.command_name(peer.command.load(Relaxed)))
}

fn info(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    let line = line(call, &call.client.peer);
    Reply::Verbatim(*b"txt", format!("{line}\n").into_bytes().into())
}

fn list(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let mut wanted: Option<Vec<u64>> = None;
    let mut class = None;
    match (args.get(2), args.len()) {
        (None, _) => {}
        (Some(word), 4) if is(word, "TYPE") => match kill::class(args.at(3)) {
            Ok(of) => class = Some(of),
            Err(refusal) => return refusal,
        },
        (Some(word), 4..) if is(word, "ID") => {
            let mut ids = Vec::new();
            for arg in args.from(3).iter() {
                match int(arg).and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0) {
                    Some(id) => ids.push(id),
                    None => return Reply::error("ERR Invalid client ID"),
                }
            }
            wanted = Some(ids);
        }
        _ => return syntax_error(),
    }
    let mut lines = String::new();
    for peer in call.shared.clients.all() {
        let is_meant = wanted.as_ref().is_none_or(|ids| ids.contains(&peer.id));
        if is_meant && class.is_none_or(|class| class == kill::of(&peer)) {
            lines.push_str(&line(call, &peer));
            lines.push('\n');
        }
    }
    Reply::Verbatim(*b"txt", lines.into_bytes().into())
}

fn set_name(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    match sound_name(args.at(2)) {
        Ok(name) => {
            call.client.peer.names().name = name;
            Reply::OK
        }
        Err(refusal) => refusal,
    }
}

fn get_name(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    let name = call.client.peer.names().name.clone();
    if name.is_empty() { Reply::Null } else { bulk(name) }
}

fn set_info(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let (attribute, value) = (args.at(2), args.at(3));
    let library = is(attribute, "LIB-NAME");
    if !library && !is(attribute, "LIB-VER") {
        return Reply::error_of(&[b"ERR Unrecognized option '", up_to_zero(attribute), b"'"]);
    }
    let Ok(value) = sound_name(value) else {
        let attribute = text(attribute).to_ascii_lowercase();
        return error(format!(
            "ERR {attribute} cannot contain spaces, newlines or special characters."
        ));
    };
    let mut names = call.client.peer.names();
    if library {
        names.library = value;
    } else {
        names.version = value;
    }
    Reply::OK
}

fn reply(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    call.client.reply_mode = match args.at(2) {
        word if is(word, "ON") => ReplyMode::On,
        word if is(word, "OFF") => ReplyMode::Off,
        word if is(word, "SKIP") && call.client.reply_mode == ReplyMode::On => ReplyMode::Skip,
        word if is(word, "SKIP") => return Reply::OK,
        _ => return syntax_error(),
    };
    Reply::OK
}

fn pause(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let all = match args.get(3) {
        None => true,
        Some(word) if is(word, "ALL") && args.len() == 4 => true,
        Some(word) if is(word, "WRITE") && args.len() == 4 => false,
        Some(_) => return Reply::error("ERR CLIENT PAUSE mode must be WRITE or ALL"),
    };
    let ms = match int(args.at(2)) {
        Some(ms @ 0..=PAUSE_MS_MAX) => ms as u64,
        Some(i64::MIN..0) => return Reply::error("ERR timeout is negative"),
        _ => return Reply::error("ERR timeout is not an integer or out of range"),
    };
    let mut until = Instant::now() + Duration::from_millis(ms);
    let mut all = all;
    if let Some(old) = call.shared.pause() {
        // As in Redis: a second pause never shortens or weakens the first.
        until = until.max(old.until);
        all |= old.all;
    }
    call.shared.set_pause(Some(Pause { until, all }));
    Reply::OK
}

fn unpause(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    call.shared.set_pause(None);
    Reply::OK
}

/// `ON` or `OFF`.
fn switch(word: &[u8]) -> Option<bool> {
    if is(word, "ON") { Some(true) } else { is(word, "OFF").then_some(false) }
}

fn no_evict(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let Some(on) = switch(args.at(2)) else { return syntax_error() };
    call.client.peer.no_evict.store(on, Relaxed);
    Reply::OK
}

fn no_touch(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let Some(on) = switch(args.at(2)) else { return syntax_error() };
    call.client.peer.no_touch.store(on, Relaxed);
    Reply::OK
}

fn unblock(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let how = match args.get(3) {
        None => UNBLOCK,
        Some(word) if args.len() == 4 && is(word, "TIMEOUT") => UNBLOCK,
        Some(word) if args.len() == 4 && is(word, "ERROR") => UNBLOCK_ERROR,
        Some(_) => return Reply::error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
    };
    let Some(id) = int(args.at(2)) else { return not_an_integer() };
    let peer = call.shared.clients.get(id as u64);
    // Once: whoever is woken twice was woken by the first.
    let blocked = peer.filter(|peer| peer.blocked.swap(false, Relaxed));
    if let Some(peer) = &blocked {
        peer.signal(how);
    }
    Reply::Int(i64::from(blocked.is_some()))
}
