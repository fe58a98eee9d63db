//! One node tells another, message by message.

use super::*;
use futures::FutureExt;

fn name(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn message(channel: &str, shard: bool) -> Message {
    Message { channel: name(channel), payload: Bytes::new(), shard, after: 0 }
}

/// Tells all that there is to be told, in pieces of one name; how many messages that took.
fn tell(from: &Interest, to: &Interest) -> usize {
    let mut messages = 0;
    while let Some(told) = from.next(2, 1) {
        messages += 1;
        let turn = told.turn;
        to.hear(1, told);
        from.acknowledge(2, turn);
    }
    messages
}

fn pair() -> (Interest, Interest) {
    let (from, to) = (Interest::default(), Interest::default());
    from.meet(2);
    (from, to)
}

#[test]
fn a_table_is_told_whole_and_then_as_it_changes() {
    let (from, to) = pair();
    from.set(Kind::Channel, &name("a"), 1);
    from.set(Kind::Pattern, &name("a*"), 2);
    from.set(Kind::Shard, &name("a"), 4);
    assert_eq!(tell(&from, &to), 0, "there is no stream yet");
    from.reach(2, Reach::Open);
    assert_eq!(tell(&from, &to), 3, "a message a name, the last finds the end");
    assert_eq!(to.receivers(&message("a", false)), 3);
    assert_eq!(to.receivers(&message("ab", false)), 2);
    assert_eq!(to.receivers(&message("a", true)), 4);
    assert_eq!(to.listening(), [1]);
    from.set(Kind::Channel, &name("a"), 0);
    from.set(Kind::Channel, &name("b"), 5);
    from.set(Kind::Channel, &name("b"), 6);
    assert_eq!(tell(&from, &to), 2, "a name once, as it is");
    assert_eq!(to.names(Kind::Channel), BTreeSet::from([name("b")]));
    assert_eq!(to.count(Kind::Channel, b"b"), 6);
    assert_eq!(tell(&from, &to), 0);
}

#[test]
fn what_changes_while_the_table_is_told_is_told_once() {
    let (from, to) = pair();
    for at in 0..10 {
        from.set(Kind::Channel, &name(&format!("c{at}")), 1);
    }
    from.reach(2, Reach::Open);
    for _ in 0..5 {
        to.hear(1, from.next(2, 1).expect("there is more"));
    }
    from.set(Kind::Channel, &name("c2"), 7);
    from.set(Kind::Channel, &name("c8"), 8);
    from.set(Kind::Channel, &name("c9"), 0);
    assert_eq!(tell(&from, &to), 1 + 4);
    let of = |at: &str| to.count(Kind::Channel, at.as_bytes());
    assert_eq!(["c2", "c4", "c8", "c9"].map(of), [7, 1, 8, 0]);
}

#[test]
fn a_new_stream_begins_from_nothing() {
    let (from, to) = pair();
    from.set(Kind::Channel, &name("gone"), 1);
    from.reach(2, Reach::Open);
    tell(&from, &to);
    from.reach(2, Reach::Trying);
    from.set(Kind::Channel, &name("gone"), 0);
    from.set(Kind::Channel, &name("here"), 1);
    from.reach(2, Reach::Open);
    tell(&from, &to);
    assert_eq!(to.names(Kind::Channel), BTreeSet::from([name("here")]));
    // Nobody at all is told too.
    from.reach(2, Reach::Trying);
    from.set(Kind::Channel, &name("here"), 0);
    from.reach(2, Reach::Open);
    assert_eq!(tell(&from, &to), 1);
    assert_eq!(to.listening(), [0_u64; 0]);
}

#[test]
fn who_turns_the_bit_waits_for_the_peers_that_can_be_reached() {
    let (from, to) = pair();
    from.meet(3);
    assert!(from.heard().now_or_never().is_some(), "nothing has turned");
    from.set(Kind::Channel, &name("a"), 1);
    assert!(from.heard().now_or_never().is_none());
    from.reach(3, Reach::Lost);
    from.reach(2, Reach::Open);
    assert!(from.heard().now_or_never().is_none());
    tell(&from, &to);
    assert!(from.heard().now_or_never().is_some());
    // A peer that may have started again knows nothing.
    from.reach(2, Reach::Trying);
    assert!(from.heard().now_or_never().is_none());
    from.reach(2, Reach::Open);
    tell(&from, &to);
    assert!(from.heard().now_or_never().is_some());
    // Further subscriptions turn nothing.
    from.set(Kind::Channel, &name("b"), 1);
    assert!(from.heard().now_or_never().is_some());
    // Who leaves and comes back has to be told again.
    from.set(Kind::Channel, &name("a"), 0);
    from.set(Kind::Channel, &name("b"), 0);
    from.set(Kind::Channel, &name("b"), 1);
    assert!(from.heard().now_or_never().is_none());
    from.part(2);
    assert!(from.heard().now_or_never().is_some());
}

#[test]
fn what_one_peer_tells_is_bounded() {
    let to = Interest::default();
    let counts = |at: usize| {
        let mut name = at.to_string().into_bytes();
        name.resize(NAME_BYTES_MAX, b'x');
        vec![(Kind::Channel, Bytes::from(name), 1)]
    };
    for at in 0..300 {
        to.hear(1, Told { anybody: true, counts: counts(at), ..Told::default() });
    }
    let known = to.names(Kind::Channel).len();
    assert_eq!(known, TABLE_BYTES_MAX / (NAME_BYTES_MAX + NAME_BYTES));
    assert_eq!(to.listening(), [1], "messages go there all the same");
    // What leaves makes room.
    to.hear(
        1,
        Told { counts: vec![(Kind::Channel, counts(0)[0].1.clone(), 0)], ..Told::default() },
    );
    to.hear(1, Told { counts: counts(400), ..Told::default() });
    assert_eq!(to.names(Kind::Channel).len(), known);
}

#[test]
fn a_long_name_is_not_told() {
    let (from, to) = pair();
    from.reach(2, Reach::Open);
    from.set(Kind::Channel, &Bytes::from(vec![b'x'; NAME_BYTES_MAX + 1]), 1);
    tell(&from, &to);
    assert_eq!(to.names(Kind::Channel).len(), 0);
    assert_eq!(to.listening(), [1]);
}
