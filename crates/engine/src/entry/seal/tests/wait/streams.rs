//! XREADGROUP that waits.

use super::{WRONG, World, waits};
use std::format;

const GONE: &str = "-UNBLOCKED the stream key no longer exists";
const NO_GROUP: &str = "-NOGROUP the consumer group this client was blocked on no longer exists";

/// A group that has everything.
fn group() -> World {
    let mut world = World::new();
    world.run(&["XADD s 1-0 f v", "XGROUP CREATE s g $"]);
    world
}

#[test]
fn entries_go_to_a_consumer_that_waits() {
    let mut world = group();
    world.park(1, "XREADGROUP BLOCK 0 GROUP g c COUNT 2 STREAMS s >");
    world.park(2, "XREADGROUP GROUP g d NOACK BLOCK 0 STREAMS s >");
    assert_eq!(world.run(&["XINFO CONSUMERS s g"]), "*0\r\n", "nobody is made by waiting");
    world.run(&["XADD s 2-0 f v"]);
    assert_eq!(world.told(), ["1 [[s [[2-0 [f v]]]]]"]);
    assert_eq!(world.logged(), ["0 XADD s 2-0 f v", "0 XREADGROUP GROUP g c COUNT 2 STREAMS s >"]);
    assert!(world.sealed.as_ref().unwrap().inexact, "as without BLOCK");
    world.exec(&["XADD s 3-0 f v", "XADD s 4-0 f w"]);
    assert_eq!(world.told(), ["2 [[s [[3-0 [f v]] [4-0 [f w]]]]]"]);
    assert_eq!(world.logged()[4], "0 XREADGROUP GROUP g d NOACK STREAMS s >");
    assert!(world.waiting.is_empty());
    // At once, with what is there.
    world.run(&["XADD s 5-0 f v"]);
    world.wait(3, "xreadgroup group g c block 5 streams s >");
    assert_eq!(world.told(), ["3 [[s [[5-0 [f v]]]]]"]);
    // Of several streams: at once with all that have something, later with the one that changed.
    world.run(&["XGROUP CREATE t g $ MKSTREAM"]);
    world.park(4, "XREADGROUP GROUP g c COUNT 9 BLOCK 0 STREAMS s t > >");
    world.exec(&["XADD t 1-0 f v", "XADD s 6-0 f v"]);
    assert_eq!(world.told(), ["4 [[t [[1-0 [f v]]]]]"]);
    assert_eq!(world.logged()[4], "0 XREADGROUP GROUP g c COUNT 9 STREAMS t >");
    world.run(&["XADD t 2-0 f v"]);
    world.wait(5, "XREADGROUP GROUP g c BLOCK 0 STREAMS s t > >");
    assert_eq!(world.told(), ["5 [[s [[6-0 [f v]]]] [t [[2-0 [f v]]]]]"]);
}

#[test]
fn a_consumers_own_entries_are_told_at_once() {
    let mut world = group();
    world.run(&["XADD s 2-0 f v", "XREADGROUP GROUP g c STREAMS s >"]);
    for (id, told) in [("0", "[[s [[2-0 [f v]]]]]"), ("2-0", "[[s []]]"), ("700", "[[s []]]")] {
        world.wait(1, &format!("XREADGROUP GROUP g c BLOCK 0 STREAMS s {id}"));
        assert_eq!(world.told(), [format!("1 {told}")], "{id}");
        assert_eq!(world.logged(), [format!("0 XREADGROUP GROUP g c STREAMS s {id}")]);
    }
    // Beside one that is new to nobody.
    world.run(&["XGROUP CREATE t g $ MKSTREAM"]);
    world.wait(1, "XREADGROUP GROUP g c BLOCK 0 STREAMS t s > 0");
    assert_eq!(world.told(), ["1 [[s [[2-0 [f v]]]]]"]);
}

#[test]
fn what_is_wrong_with_a_group_is_told_at_once() {
    let mut world = group();
    world.run(&["SET x 1"]);
    let none = "-NOGROUP No such key 's' or consumer group 'h' in XREADGROUP with GROUP option";
    let absent = "-NOGROUP No such key 'a' or consumer group 'g' in XREADGROUP with GROUP option";
    for (line, error) in [
        ("XREADGROUP GROUP h c BLOCK 0 STREAMS s >", none),
        ("XREADGROUP GROUP g c BLOCK 0 STREAMS s a > >", absent),
        ("XREADGROUP GROUP g c BLOCK 0 STREAMS x >", WRONG),
        (
            "XREADGROUP GROUP g c BLOCK 0 STREAMS s nope",
            "-ERR Invalid stream ID specified as stream command argument",
        ),
    ] {
        assert_eq!(world.step(&[waits(1, line)]), [format!("{error}\r\n")], "{line}");
    }
    let dollar = world.step(&[waits(1, "XREADGROUP GROUP g c BLOCK 0 STREAMS s $")]);
    assert!(dollar[0].starts_with("-ERR The $ ID is meaningless"), "{dollar:?}");
    assert!(world.waiting.is_empty());
}

/// As in Redis 7.0's tests of XREADGROUP that waits.
#[test]
fn who_waits_for_a_group_that_goes_is_told() {
    let swapped = ["SWAPDB 0 4"];
    let to_list = ["DEL s", "RPUSH s x"];
    for (lines, error) in [
        (&["DEL s"][..], GONE),
        (&["SET s x"], GONE),
        (&to_list, GONE),
        (&["FLUSHALL"], GONE),
        (&["FLUSHDB"], GONE),
        (&["RENAME s t"], GONE),
        (&["MOVE s 1"], GONE),
        (&["PEXPIREAT s 1"], GONE),
        (&swapped, GONE),
        (&["XGROUP DESTROY s g"], NO_GROUP),
        (&["XADD t 1-0 f v", "RENAME t s"], NO_GROUP),
        (&["XADD t 1-0 f v", "COPY t s REPLACE"], NO_GROUP),
    ] {
        for is_exec in [false, true] {
            let mut world = group();
            world.park(1, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
            world.park(2, "XREADGROUP GROUP g d BLOCK 0 STREAMS s >");
            if is_exec {
                world.exec(lines)
            } else {
                world.run(lines)
            };
            assert_eq!(world.told(), [format!("1 {error}"), format!("2 {error}")], "{lines:?}");
            assert!(world.waiting.is_empty(), "{lines:?}");
        }
    }
    // One group of two, and a stream that has the group too.
    let mut world = group();
    world.run(&["XGROUP CREATE s h $"]);
    world.park(1, "XREADGROUP GROUP h c BLOCK 0 STREAMS s >");
    world.park(2, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
    world.run(&["XGROUP DESTROY s g"]);
    assert_eq!(world.told(), [format!("2 {NO_GROUP}")]);
    world.run(&["XADD t 9-0 f v", "XGROUP CREATE t h 0", "RENAME t s"]);
    assert_eq!(world.told(), ["1 [[s [[9-0 [f v]]]]]"]);
    // What changes and leaves nothing new disturbs nobody.
    let mut world = group();
    world.park(1, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
    world.run(&["XDEL s 1-0", "XGROUP CREATE s h 0", "XSETID s 7-0", "XTRIM s MAXLEN 0"]);
    world.exec(&["XADD s 8-0 f v", "XDEL s 8-0"]);
    assert_eq!(world.told(), [] as [&str; 0]);
    assert_eq!(world.waiting.len(), 1);
    // But a group that is set back has all of it before it.
    world.run(&["XADD s 9-0 f v", "XREADGROUP GROUP g c STREAMS s >"]);
    assert_eq!(world.told(), ["1 [[s [[9-0 [f v]]]]]"]);
    world.park(1, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
    world.run(&["XGROUP SETID s g 0"]);
    assert_eq!(world.told(), ["1 [[s [[9-0 [f v]]]]]"]);
}

/// A stream that is due is gone as soon as somebody looks.
#[test]
fn who_waits_for_a_stream_that_ends_is_told() {
    let mut world = group();
    world.run(&["PEXPIRE s 100", "SET t 1"]);
    world.park(1, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >").park(2, "BLPOP l 0");
    world.after_ms = 200;
    // Rehearsed for somebody else; the stream is read.
    assert_eq!(world.run(&["RPUSH l x", "XLEN s"]), ":1\r\n:0\r\n");
    assert_eq!(world.told(), [format!("1 {GONE}"), "2 [l x]".into()]);
}

#[test]
fn groups_do_not_wait_for_each_other() {
    let mut world = group();
    world.run(&["XADD s 2-0 f v", "XREADGROUP GROUP g c STREAMS s >", "XGROUP CREATE s h 0"]);
    world.park(1, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
    world.wait(2, "XREADGROUP GROUP h c BLOCK 0 COUNT 1 STREAMS s >");
    assert_eq!(world.told(), ["2 [[s [[1-0 [f v]]]]]"]);
    world.run(&["XREADGROUP GROUP h c STREAMS s >"]);
    world.park(2, "XREADGROUP GROUP h c BLOCK 0 STREAMS s >");
    world.park(3, "XREADGROUP GROUP g d BLOCK 0 STREAMS s >");
    world.run(&["XREADGROUP GROUP g x STREAMS s >", "XGROUP SETID s h 0"]);
    assert_eq!(world.told(), ["2 [[s [[1-0 [f v]] [2-0 [f v]]]]]"]);
    assert_eq!(world.waiting.len(), 2);
}
