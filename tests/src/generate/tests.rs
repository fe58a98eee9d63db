//! The generator itself: every template reads, is sent, and is safe to send.

use super::{FAMILIES, Maker, is_safe};
use std::collections::BTreeSet;

fn command(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

#[test]
fn all_templates_are_made_and_repeat_from_their_seed() {
    for family in FAMILIES {
        let make = |seed| {
            let mut maker = Maker::new(seed, Some(family), &|_| true);
            (0..3000).map(|_| maker.make()).collect::<Vec<_>>()
        };
        let made = make(7);
        assert_eq!(made, make(7), "{}", family.name);
        assert!(made != make(8), "{}", family.name);
        let sent: BTreeSet<Vec<u8>> =
            made.iter().map(|command| command[0].to_ascii_uppercase()).collect();
        for template in family.templates {
            let name = template.split(' ').next().unwrap();
            assert!(sent.contains(name.as_bytes()), "{}: {name} is never sent", family.name);
        }
    }
}

#[test]
fn only_what_is_known_is_made() {
    let mut maker = Maker::new(1, None, &|names| names[0] == "GET");
    let made: BTreeSet<Vec<u8>> = (0..500).map(|_| maker.make()[0].to_ascii_uppercase()).collect();
    assert_eq!(made, BTreeSet::from([b"GET".to_vec()]));
}

#[test]
fn what_waits_or_floods_is_not_sent() {
    for line in [
        "expire k 5",
        "SET k v EX 100",
        "SET k 7 ex 10000",
        "PEXPIRE k 60000",
        "GETEX k px 1",
        "BLPOP k 0",
        "BLMPOP 0 1 k LEFT",
        "BLMOVE a b LEFT LEFT 1",
        "BLPOP k -0.0001",
        "BLPOP k 0x1",
        "XREAD BLOCK 0 STREAMS k $",
        "XREADGROUP GROUP g c BLOCK 1 COUNT 1 block 20 STREAMS k >",
        "SRANDMEMBER k -9223372036854775808",
        "XAUTOCLAIM k g c 0 0 COUNT 4294967296",
        "RESTORE k 7 x",
    ] {
        assert!(!is_safe(&command(line)), "{line}");
    }
    for line in [
        "EXPIRE k 100000",
        "SET k 5",
        "SET k v EX 100000",
        "EXPIRE k -1",
        "BLPOP k 0.01",
        "BLPOP k x",
        "BLPOP k -1",
        "XREAD BLOCK 2 STREAMS k $",
        "XREADGROUP GROUP g c BLOCK",
        "SRANDMEMBER k -5",
        "RESTORE k 7 x ABSTTL",
        "GET k",
    ] {
        assert!(is_safe(&command(line)), "{line}");
    }
}
