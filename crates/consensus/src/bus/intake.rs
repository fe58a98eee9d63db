//! The way in: what peers tell of their subscribers, and messages to ours.
//!
//! What is told counts at once and is acknowledged; messages wait for the entry that they come
//! behind. A peer has one stream: a newer one takes the place of the one before. When it breaks,
//! what was told is believed for a while, since the peer may be there still and be about to open
//! another.

use crate::bus::carry::Bus;
use crate::bus::interest::Told;
use crate::bus::message::{Kind, Message};
use crate::bus::queue::Queue;
use crate::env::Env;
use crate::group::Group;
use crate::lock::lock;
use crate::peer::transport::{PeerId, Refused, TransportError};
use crate::peer::trust::Trust;
use crate::proto as pb;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What a peer told is believed for so long after its stream broke.
const BELIEVED: Duration = Duration::from_secs(5);

type Incoming<T> = BoxStream<'static, Result<T, TransportError>>;

/// A stream ended before its first message.
#[derive(Clone, Copy, Debug)]
struct NoMessage;

impl fmt::Display for NoMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stream without a message")
    }
}

impl Error for NoMessage {}

impl<E: Env> Bus<E> {
    /// A stream from a peer begins; its number.
    fn begin(&self, from: u64) -> u64 {
        let mut heard = lock(&self.heard);
        let heard = heard.entry(from).or_default();
        heard.stream += 1;
        heard.lost = None;
        heard.stream
    }

    /// Whether no newer stream has begun, and the peer is believed.
    fn is_newest(&self, from: u64, stream: u64) -> bool {
        lock(&self.heard).get(&from).is_some_and(|heard| heard.stream == stream)
    }

    /// A stream has ended.
    fn lose(&self, from: u64, stream: u64) {
        let now = self.process.env.elapsed();
        if let Some(heard) = lock(&self.heard).get_mut(&from).filter(|it| it.stream == stream) {
            heard.lost = Some(now);
        }
    }

    /// Forgets what was told by peers whose streams are broken for long, or who are no members.
    pub(super) fn forget_silent(&self, members: &[PeerId]) {
        let now = self.process.env.elapsed();
        let mut heard = lock(&self.heard);
        heard.retain(|node, heard| {
            let is_member = members.iter().any(|member| member.node == *node);
            let is_silent = heard.lost.is_some_and(|since| now > since + BELIEVED);
            // A replica that was away learns of new members only later; they are believed while
            // they are connected.
            let stays = !is_silent && (is_member || heard.lost.is_none());
            if !stays {
                self.interest().forget(*node);
            }
            stays
        });
    }
}

/// Serves a stream until either side ends it.
pub(crate) async fn serve<E: Env>(
    group: &Group<E>,
    trust: &Trust<E>,
    mut input: Incoming<pb::BusRequest>,
) -> Result<BoxStream<'static, pb::BusResponse>, Refused> {
    let Some(Ok(first)) = input.next().await else {
        return Err(NoMessage.into());
    };
    let from = trust.check(first.envelope.as_ref()).await?;
    let bus = group.bus.clone();
    let number = bus.begin(from);
    let queue = Arc::new(Queue::default());
    let (turns, heard) = watch::channel(0);
    let (delivering, waiting) = (bus.clone(), queue.clone());
    E::spawn(async move { delivering.deliver(&waiting).await });
    E::spawn(async move {
        if let Err(what) = read(&bus, (from, number), (&queue, &turns), input).await {
            tracing::warn!(from, what, "a peer's bus stream was ended");
        }
        queue.end();
        bus.lose(from, number);
    });
    let answers = stream::unfold(heard, |mut heard| async move {
        heard.changed().await.ok()?;
        let turn = *heard.borrow_and_update();
        Some((pb::BusResponse { turn }, heard))
    });
    Ok(answers.boxed())
}

/// Takes what comes, until the stream ends or another takes its place.
async fn read<E: Env>(
    bus: &Bus<E>,
    (from, number): (u64, u64),
    (queue, turns): (&Queue, &watch::Sender<u64>),
    mut input: Incoming<pb::BusRequest>,
) -> Result<(), &'static str> {
    while let Some(Ok(request)) = input.next().await {
        if !bus.is_newest(from, number) {
            return Ok(());
        }
        if let Some(told) = request.interest {
            let told = interest_from_pb(told)?;
            let turn = told.turn;
            bus.interest().hear(from, told);
            turns.send_replace(turn);
        }
        let now = bus.process.env.elapsed();
        for message in request.messages {
            queue.put(&message_from_pb(message), now).await;
        }
    }
    Ok(())
}

pub(super) fn message_to_pb(message: Message) -> pb::BusMessage {
    let Message { channel, payload, shard, after } = message;
    pb::BusMessage { channel, payload, shard, after }
}

fn message_from_pb(message: pb::BusMessage) -> Message {
    let pb::BusMessage { channel, payload, shard, after } = message;
    Message { channel, payload, shard, after }
}

pub(super) fn interest_to_pb(told: Told) -> pb::BusInterest {
    let Told { anew, anybody, changes, turn, counts } = told;
    let count = |(kind, name, count)| {
        let kind = match kind {
            Kind::Channel => pb::BusKind::Channel,
            Kind::Pattern => pb::BusKind::Pattern,
            Kind::Shard => pb::BusKind::Shard,
        };
        pb::BusCount { kind: kind.into(), name, count }
    };
    let counts = counts.into_iter().map(count).collect();
    pb::BusInterest { anew, anybody, changes, turn, counts }
}

fn interest_from_pb(told: pb::BusInterest) -> Result<Told, &'static str> {
    let count = |count: pb::BusCount| {
        let kind = match pb::BusKind::try_from(count.kind) {
            Ok(pb::BusKind::Channel) => Kind::Channel,
            Ok(pb::BusKind::Pattern) => Kind::Pattern,
            Ok(pb::BusKind::Shard) => Kind::Shard,
            Err(_) => return Err("it tells of a kind of name that there is not"),
        };
        // A copy: the name stays, and what it came in should not.
        Ok((kind, Bytes::copy_from_slice(&count.name), count.count))
    };
    let pb::BusInterest { anew, anybody, changes, turn, counts } = told;
    let counts = counts.into_iter().map(count).collect::<Result<_, _>>()?;
    Ok(Told { anew, anybody, changes, turn, counts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_is_heard() {
        let counts = Kind::ALL.map(|kind| (kind, Bytes::from_static(b"n"), 7)).to_vec();
        let told = Told { anew: true, anybody: true, changes: true, turn: 9, counts };
        assert_eq!(interest_from_pb(interest_to_pb(told.clone())), Ok(told.clone()));
        let mut odd = interest_to_pb(told);
        odd.counts[0].kind = 3;
        assert!(interest_from_pb(odd).is_err());
    }
}
