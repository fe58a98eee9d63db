//! `SUBSCRIBE`, `PUBLISH` and what belongs to them.
//!
//! Confirmations are frames of their own, one for each channel: they go out as pushes do, whatever
//! `CLIENT REPLY` says. Messages to others leave by the replica's bus, so that clients of every
//! node hear each other; who listens there is known by what nodes tell each other.

#![allow(clippy::unnecessary_wraps, reason = "the form of a row's function")]

use super::work::Work;
use super::{Call, Row, Run, bulk};
use bytes::Bytes;
use quorate_consensus::{Kind, Message};
use quorate_engine::{Flags, Group, Keys, exactly, glob, least};
use quorate_resp::{Args, Reply, up_to_zero};
use std::collections::BTreeSet;

const ANY_TIME: Flags = Flags::PUBSUB.and(super::NODE);
const SEND: Flags = ANY_TIME.and(Flags::FAST);

/// The channels of shards stand where keys do, without being any.
const SHARDS: Keys = Keys::Range { first: 1, last: -1, step: 1 };

/// The rows.
pub(super) const ROWS: &[Row] = &Group::PubSub.rows([
    Row::new("SUBSCRIBE", "channel [channel ...]", Run::Ask(subscribe))
        .facts(least(2), Keys::None, ANY_TIME)
        .doc("2.0.0", "Listens to channels."),
    Row::new("UNSUBSCRIBE", "[channel [channel ...]]", Run::Ask(unsubscribe))
        .facts(least(1), Keys::None, ANY_TIME)
        .doc("2.0.0", "Listens to channels, or to any, no longer."),
    Row::new("PSUBSCRIBE", "pattern [pattern ...]", Run::Ask(psubscribe))
        .facts(least(2), Keys::None, ANY_TIME)
        .doc("2.0.0", "Listens to channels whose names match patterns."),
    Row::new("PUNSUBSCRIBE", "[pattern [pattern ...]]", Run::Ask(punsubscribe))
        .facts(least(1), Keys::None, ANY_TIME)
        .doc("2.0.0", "Listens to patterns, or to any, no longer."),
    Row::new("SSUBSCRIBE", "shardchannel [shardchannel ...]", Run::Ask(ssubscribe))
        .facts(least(2), SHARDS, ANY_TIME)
        .access(&["not_key"])
        .doc("7.0.0", "Listens to shard channels."),
    Row::new("SUNSUBSCRIBE", "[shardchannel [shardchannel ...]]", Run::Ask(sunsubscribe))
        .facts(least(1), SHARDS, ANY_TIME)
        .access(&["not_key"])
        .doc("7.0.0", "Listens to shard channels, or to any, no longer."),
    Row::new("PUBLISH", "channel message", Run::Ask(publish))
        .facts(exactly(3), Keys::None, SEND)
        .doc("2.0.0", "Sends a message to all who listen to a channel."),
    Row::new("SPUBLISH", "shardchannel message", Run::Ask(spublish))
        .facts(exactly(3), Keys::Range { first: 1, last: 1, step: 1 }, SEND)
        .access(&["not_key"])
        .doc("7.0.0", "Sends a message to all who listen to a shard channel."),
    Row::new("PUBSUB", "", Run::Parent)
        .facts(least(2), Keys::None, Flags::NONE)
        .doc("2.8.0", "Tells who listens to what."),
    Row::new("PUBSUB|CHANNELS", "[pattern]", Run::Here(channels))
        .facts(least(2), Keys::None, ANY_TIME)
        .doc("2.8.0", "Lists channels that somebody listens to."),
    Row::new("PUBSUB|NUMPAT", "", Run::Here(num_pat))
        .facts(exactly(2), Keys::None, ANY_TIME)
        .doc("2.8.0", "Answers how many patterns somebody listens to."),
    Row::new("PUBSUB|NUMSUB", "[channel [channel ...]]", Run::Here(num_sub))
        .facts(least(2), Keys::None, ANY_TIME)
        .doc("2.8.0", "Answers how many listen to each channel."),
    Row::new("PUBSUB|SHARDCHANNELS", "[pattern]", Run::Here(shard_channels))
        .facts(least(2), Keys::None, ANY_TIME)
        .doc("7.0.0", "Lists shard channels that somebody listens to."),
    Row::new("PUBSUB|SHARDNUMSUB", "[shardchannel [shardchannel ...]]", Run::Here(shard_num_sub))
        .facts(least(2), Keys::None, ANY_TIME)
        .doc("7.0.0", "Answers how many listen to each shard channel."),
]);

/// What the confirmations of a kind are called.
fn words(kind: Kind) -> [&'static [u8]; 2] {
    match kind {
        Kind::Channel => [b"subscribe", b"unsubscribe"],
        Kind::Pattern => [b"psubscribe", b"punsubscribe"],
        Kind::Shard => [b"ssubscribe", b"sunsubscribe"],
    }
}

/// Puts a confirmation into what goes out; without a name if there was nothing to leave.
fn confirm(call: &mut Call<'_>, kind: Kind, word: &[u8], name: Option<&[u8]>) {
    let client = &mut *call.client;
    let count = Reply::len(client.subscriptions.count(kind));
    let name = name.map_or(Reply::Null, Reply::bulk);
    let frame = Reply::Push(vec![Reply::bulk(word), name, count]);
    frame.encode(client.proto, &mut client.frames);
}

fn join(call: &mut Call<'_>, args: Args<'_>, kind: Kind) -> Work {
    let [word, _] = words(kind);
    let was_any = call.client.subscriptions.any();
    for name in args.from(1).iter() {
        call.client.subscriptions.join(kind, name);
        confirm(call, kind, word, Some(name));
    }
    if !was_any {
        call.client.limit_pushes();
    }
    // What is published elsewhere from the answer on has to come here.
    Work::Listen
}

fn leave(call: &mut Call<'_>, args: Args<'_>, kind: Kind) -> Work {
    let [_, word] = words(kind);
    let names: Vec<Bytes> = match args.len() {
        1 => call.client.subscriptions.names(kind),
        _ => args.from(1).iter().map(Bytes::copy_from_slice).collect(),
    };
    for name in &names {
        call.client.subscriptions.leave(kind, name);
        confirm(call, kind, word, Some(name));
    }
    if names.is_empty() {
        confirm(call, kind, word, None);
    }
    call.client.limit_pushes();
    Work::Nothing
}

/// The form of a function that asks for something, also where it never refuses.
type Asked = Result<Work, Reply<'static>>;

fn subscribe(call: &mut Call<'_>, args: Args<'_>) -> Asked {
    Ok(join(call, args, Kind::Channel))
}

fn psubscribe(call: &mut Call<'_>, args: Args<'_>) -> Asked {
    Ok(join(call, args, Kind::Pattern))
}

fn ssubscribe(call: &mut Call<'_>, args: Args<'_>) -> Asked {
    Ok(join(call, args, Kind::Shard))
}

fn unsubscribe(call: &mut Call<'_>, args: Args<'_>) -> Asked {
    Ok(leave(call, args, Kind::Channel))
}

fn punsubscribe(call: &mut Call<'_>, args: Args<'_>) -> Asked {
    Ok(leave(call, args, Kind::Pattern))
}

fn sunsubscribe(call: &mut Call<'_>, args: Args<'_>) -> Asked {
    Ok(leave(call, args, Kind::Shard))
}

/// A message in these arguments, which comes to nobody before the entry `after` is applied there.
pub(crate) fn message(args: Args<'_>, shard: bool, after: u64) -> Message {
    let copy = |at| Bytes::copy_from_slice(args.at(at));
    Message { channel: copy(1), payload: copy(2), shard, after }
}

/// Behind what the session has written, as far as it knows of that.
fn publish(call: &mut Call<'_>, args: Args<'_>) -> Asked {
    Ok(Work::Publish(message(args, false, call.client.written)))
}

fn spublish(call: &mut Call<'_>, args: Args<'_>) -> Asked {
    Ok(Work::Publish(message(args, true, call.client.written)))
}

fn list(call: &Call<'_>, args: Args<'_>, kind: Kind) -> Reply<'static> {
    let names: BTreeSet<Bytes> = call.shared.pubsub.names(kind);
    let shown = |name: &Bytes| bulk(name.to_vec());
    match (args.get(2).map(glob::Pattern::new), args.len()) {
        (None, _) => Reply::Array(names.iter().map(shown).collect()),
        (Some(pattern), 3) => {
            Reply::Array(names.iter().filter(|name| pattern.matches(name)).map(shown).collect())
        }
        _ => Reply::error_of(&[
            b"ERR unknown subcommand or wrong number of arguments for '",
            up_to_zero(args.at(1)),
            b"'. Try PUBSUB HELP.",
        ]),
    }
}

fn numbers(call: &Call<'_>, args: Args<'_>, kind: Kind) -> Reply<'static> {
    let number = |name: &[u8]| Reply::Int(call.shared.pubsub.interest().count(kind, name) as i64);
    let pairs = args.from(2).iter().flat_map(|name| [bulk(name.to_vec()), number(name)]);
    Reply::Array(pairs.collect())
}

fn channels(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    list(call, args, Kind::Channel)
}

fn shard_channels(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    list(call, args, Kind::Shard)
}

fn num_sub(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    numbers(call, args, Kind::Channel)
}

fn shard_num_sub(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    numbers(call, args, Kind::Shard)
}

fn num_pat(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::len(call.shared.pubsub.names(Kind::Pattern).len())
}
