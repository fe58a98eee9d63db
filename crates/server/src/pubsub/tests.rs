//! Messages come to those who listen, in the words of their kind.

use super::*;
use crate::clients::Clients;
use bytes::BytesMut;
use std::net::SocketAddr;

/// A connection that nobody serves, and what it listens to.
struct Listener(Arc<Peer>, Subscriptions);

impl Listener {
    fn new(clients: &Clients, hub: &Arc<Hub>) -> Self {
        let address: SocketAddr = ([127, 0, 0, 1], 1).into();
        let peer = clients.add(address, address, 0);
        let subscriptions = Subscriptions::new(hub, &peer);
        Self(peer, subscriptions)
    }

    fn got(&self) -> String {
        let mut got = BytesMut::new();
        let alone = self.0.take_pushed(&mut got, usize::MAX);
        got.extend_from_slice(&alone);
        String::from_utf8_lossy(&got).replace("\r\n", " ")
    }
}

fn message(channel: &'static str, payload: &'static str, shard: bool) -> Message {
    let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
    Message { channel: bytes(channel), payload: bytes(payload), shard, after: 0 }
}

#[test]
fn a_message_comes_once_for_each_way_it_is_listened_to() {
    let (clients, hub) = (Clients::default(), Arc::new(Hub::default()));
    let mut one = Listener::new(&clients, &hub);
    assert!(!hub.has_any());
    one.1.join(Kind::Channel, b"news");
    one.1.join(Kind::Channel, b"news");
    one.1.join(Kind::Pattern, b"n*");
    one.1.join(Kind::Shard, b"news");
    assert_eq!((one.1.count(Kind::Pattern), one.1.count(Kind::Shard)), (2, 1));
    assert_eq!(hub.interest().receivers(&message("news", "x", false)), 2);
    hub.deliver(&message("news", "x", false));
    let by_channel = "*3 $7 message $4 news $1 x ";
    let by_pattern = "*4 $8 pmessage $2 n* $4 news $1 x ";
    assert_eq!(one.got(), format!("{by_channel}{by_pattern}"));
    hub.deliver(&message("news", "y", true));
    assert_eq!(one.got(), "*3 $8 smessage $4 news $1 y ");
    one.1.leave(Kind::Channel, b"news");
    one.1.leave(Kind::Channel, b"news");
    hub.deliver(&message("news", "x", false));
    assert_eq!(one.got(), by_pattern);
    drop(one);
    assert!(!hub.has_any());
    assert!(hub.names(Kind::Pattern).is_empty() && hub.names(Kind::Shard).is_empty());
}

#[test]
fn a_frame_is_shared_by_those_who_speak_alike() {
    let (clients, hub) = (Clients::default(), Arc::new(Hub::default()));
    let mut all: Vec<_> = (0..3).map(|_| Listener::new(&clients, &hub)).collect();
    for listener in &mut all {
        listener.1.join(Kind::Channel, b"c");
    }
    all[2].0.resp3.store(true, Relaxed);
    let payload = "x".repeat(100_000);
    let large = Message { payload: payload.into(), ..message("c", "", false) };
    hub.deliver(&large);
    let frames: Vec<_> = all.iter().map(|it| it.0.take_pushed(&mut BytesMut::new(), 1)).collect();
    assert_eq!(frames[0].as_ptr(), frames[1].as_ptr());
    assert_eq!(frames[0][1..], frames[2][1..]);
    assert_eq!((frames[0][0], frames[2][0]), (b'*', b'>'));
}

#[test]
fn who_takes_nothing_is_closed_and_holds_nothing() {
    let (clients, hub) = (Clients::default(), Arc::new(Hub::default()));
    let (mut slow, mut other) = (Listener::new(&clients, &hub), Listener::new(&clients, &hub));
    slow.1.join(Kind::Channel, b"c");
    other.1.join(Kind::Channel, b"c");
    slow.0.set_pushed_max(300);
    hub.deliver(&message("c", "1", false));
    hub.deliver(&message("c", "2", false));
    assert_eq!(slow.0.take_signals(), crate::clients::PUSH);
    hub.deliver(&message("c", "3", false));
    hub.deliver(&message("c", "4", false));
    assert_eq!(slow.0.take_signals(), crate::clients::PUSH | crate::clients::OVERFLOW);
    assert_eq!((slow.0.pushed(), slow.got().as_str()), (0, ""));
    assert_eq!(other.got().matches("message").count(), 4);
}
