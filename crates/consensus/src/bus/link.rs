//! The way out: a stream to each other member, for as long as this replica runs.
//!
//! It carries what this node tells of its subscribers, and messages to theirs. While a stream is
//! being opened for the first time, or again after one that worked, messages wait; when that fails
//! they are dropped, and whatever comes until it works again.

use crate::api::OPEN_MAX;
use crate::bus::carry::{BATCH_BYTES, Bus};
use crate::bus::intake::{interest_to_pb, message_to_pb};
use crate::bus::interest::{Interest, Reach};
use crate::bus::queue::Queue;
use crate::env::Env;
use crate::group::Group;
use crate::lock::lock;
use crate::peer::transport::{PeerId, Transport, TransportError};
use crate::proto as pb;
use futures::future::{Either, select};
use futures::stream::{self, StreamExt};
use std::collections::btree_map::Entry;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// How often it is looked whether there are other members, if nobody says so.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Pause before a stream is opened again that worked,
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// and before the next try when it could not be opened.
const RETRY: Duration = Duration::from_millis(500);

/// Keeps the streams, and hands on the messages of this node's own clients.
pub(crate) async fn run<E: Env>(group: Group<E>) {
    let bus = group.bus.clone();
    let local = bus.clone();
    E::spawn(async move { local.deliver(&local.local).await });
    while !group.is_closed() {
        let mut members = group.keyspace.members();
        members.retain(|member| member.node != group.process.me.node);
        bus.meet(&group, &members);
        bus.forget_silent(&members);
        let _ = E::within(LOOK_EVERY, bus.members.notified()).await;
    }
    bus.meet(&group, &[]);
    bus.local.end();
}

impl<E: Env> Bus<E> {
    /// Begins streams to new members and ends those to others.
    fn meet(&self, group: &Group<E>, members: &[PeerId]) {
        let is_member = |node: &u64| members.iter().any(|member| member.node == *node);
        let mut links = lock(&self.links);
        links.retain(|node, queue| {
            let stays = is_member(node);
            if !stays {
                queue.end();
                self.interest().part(*node);
            }
            stays
        });
        for member in members {
            if let Entry::Vacant(place) = links.entry(member.node) {
                let queue = place.insert(Arc::default()).clone();
                let wake = self.interest().meet(member.node);
                let link = Link { group: group.clone(), to: member.clone(), queue, wake };
                E::spawn(link.keep());
            }
        }
    }
}

/// One peer, and what goes there.
struct Link<E: Env> {
    group: Group<E>,
    to: PeerId,
    queue: Arc<Queue>,
    /// Rung when there is something to be told.
    wake: Arc<Notify>,
}

impl<E: Env> Link<E> {
    async fn keep(self) {
        let interest = self.group.process.audience.interest.clone();
        while !self.queue.has_ended() {
            if self.stream().await {
                interest.reach(self.to.node, Reach::Trying);
                E::sleep(AGAIN_AFTER).await;
            } else {
                // Nobody waits for this peer, also not while it is tried again.
                self.queue.set_shut(true);
                interest.reach(self.to.node, Reach::Lost);
                E::sleep(RETRY).await;
            }
        }
    }

    /// One stream, until it ends; false if it never was.
    async fn stream(&self) -> bool {
        let process = &self.group.process;
        let envelope = Some(process.envelope(self.to.node));
        let first = pb::BusRequest { envelope, ..pb::BusRequest::default() };
        let (accept, accepted) = oneshot::channel::<()>();
        let sending = (process.audience.interest.clone(), self.queue.clone(), self.wake.clone());
        let node = self.to.node;
        let rest =
            stream::unfold((sending, Some(accepted)), move |(sending, accepted)| async move {
                if let Some(accepted) = accepted {
                    // Whoever only hears the opening is given nothing.
                    accepted.await.ok()?;
                }
                let (interest, queue, wake) = &sending;
                let request = next(node, interest, queue, wake).await?;
                Some((request, (sending, None)))
            });
        let requests = stream::once(async { first }).chain(rest).boxed();
        let connect = process.env.transport().bus_stream(&self.to, requests);
        let limit = OPEN_MAX + process.links.round_trip() * 2;
        let mut answers = match E::within(limit, connect).await {
            Some(Ok(answers)) => answers,
            Some(Err(TransportError::Refused(what))) => {
                tracing::debug!(node, %what, "a peer refuses the bus");
                return false;
            }
            Some(Err(TransportError::Unreachable(_))) | None => return false,
        };
        let interest = &process.audience.interest;
        interest.reach(node, Reach::Open);
        self.queue.set_shut(false);
        let _ = accept.send(());
        loop {
            match answers.next().await {
                Some(Ok(answer)) => interest.acknowledge(node, answer.turn),
                Some(Err(_)) | None => return true,
            }
        }
    }
}

/// What goes to a peer next, when there is something; `None` when nothing more will.
async fn next(
    node: u64,
    interest: &Interest,
    queue: &Queue,
    wake: &Notify,
) -> Option<pb::BusRequest> {
    loop {
        let told = interest.next(node, BATCH_BYTES);
        let messages = queue.take(BATCH_BYTES);
        if told.is_some() || !messages.is_empty() {
            return Some(pb::BusRequest {
                envelope: None,
                interest: told.map(interest_to_pb),
                messages: messages.into_iter().map(|(_, message)| message_to_pb(message)).collect(),
            });
        }
        if queue.has_ended() {
            return None;
        }
        match select(pin!(wake.notified()), pin!(queue.changed())).await {
            Either::Left(_) | Either::Right(_) => {}
        }
    }
}
