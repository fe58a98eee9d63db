//! Facts are kept, and rebuilt when they cannot be read; a name is given only to a log that knows
//! what was promised under it.

use super::*;
use crate::LogId;
use crate::Recovered;

/// A directory of its own below the target directory, emptied first.
fn fresh(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("quorate-facts-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn agree(log: &Recovered, kept: Option<Identity>) -> Result<Identity, String> {
    Identity::agree(log, kept, &mut || 4711).map_err(|error| error.to_string())
}

/// A log that was there before.
fn old(identity: Option<Identity>) -> Recovered {
    Recovered { identity, last: Some(LogId { term: 1, index: 9 }), ..Recovered::default() }
}

/// A start: facts and log are asked, and hear the outcome, the log first.
fn start(root: &Path, log: &mut Recovered) -> Identity {
    let (facts, kept) = Facts::open(root).expect("facts that open");
    let identity = agree(log, kept).expect("they agree");
    *log = old(Some(identity));
    facts.set_identity(identity).unwrap();
    identity
}

#[test]
fn an_identity_is_drawn_once_and_each_start_is_counted() {
    let root = fresh("counted");
    let mut log = Recovered { created: true, ..Recovered::default() };
    let first = start(&root, &mut log);
    assert_eq!(first, Identity { cluster: None, node: 4711, incarnation: 1 });
    let named = Identity { cluster: Some(99), ..first };
    let (facts, _) = Facts::open(&root).unwrap();
    facts.set_identity(named).unwrap();
    facts.set_snapshots(&[]).unwrap();
    drop(facts);
    assert_eq!(start(&root, &mut log), Identity { incarnation: 2, ..named });
    let (facts, _) = Facts::open(&root).unwrap();
    assert_eq!(facts.snapshots(), Some(Vec::new()));
    drop(facts);
    std::fs::remove_dir_all(root).unwrap();
}

const KNOWN: Identity = Identity { cluster: Some(7), node: 8, incarnation: 5 };

#[test]
fn a_log_that_does_not_know_what_was_promised_gets_no_name() {
    let made = Recovered { created: true, ..Recovered::default() };
    let refused = |log: &Recovered, kept, expect: &str| {
        let why = agree(log, kept).expect_err("refused");
        assert!(why.contains(expect) && why.contains("join again as a new one"), "{why}");
    };
    refused(&made, Some(KNOWN), "its log is not there");
    refused(&old(None), Some(KNOWN), "its log is another one's");
    refused(&old(None), None, "does not say whose");
    refused(&old(Some(Identity { node: 9, ..KNOWN })), Some(KNOWN), "parts of two directories");
    let other = Identity { cluster: Some(6), ..KNOWN };
    refused(&old(Some(other)), Some(KNOWN), "parts of two directories");
    refused(&old(Some(Identity { incarnation: 4, ..KNOWN })), Some(KNOWN), "an older copy");
    // It was never part of a cluster, but may have voted for one: not under this name again.
    let alone = Identity { cluster: None, ..KNOWN };
    assert_eq!(agree(&made, Some(alone)).map(|identity| identity.node), Ok(4711));
}

#[test]
fn the_log_wins_and_starts_never_go_back() {
    let next = Identity { incarnation: 6, ..KNOWN };
    assert_eq!(agree(&old(Some(KNOWN)), Some(KNOWN)), Ok(next));
    assert_eq!(agree(&old(Some(KNOWN)), None), Ok(next), "facts were lost");
    let behind = Identity { cluster: None, incarnation: 3, ..KNOWN };
    assert_eq!(agree(&old(Some(KNOWN)), Some(behind)), Ok(next), "facts are older");
    let unnamed = Identity { cluster: None, ..KNOWN };
    assert_eq!(agree(&old(Some(unnamed)), Some(unnamed)), Ok(Identity { cluster: None, ..next }));
}

#[test]
fn facts_of_version_1_are_read_and_written_anew() {
    let root = fresh("version-1");
    let mut rest = vec![1];
    rest.extend_from_slice(&7_u128.to_le_bytes());
    rest.extend_from_slice(&8_u64.to_le_bytes());
    rest.extend_from_slice(&5_u64.to_le_bytes());
    let value = [&[1], &crc32c::crc32c(&rest).to_le_bytes()[..], &rest].concat();
    let (facts, _) = Facts::open(&root).unwrap();
    facts.put(IDENTITY, value).unwrap();
    drop(facts);
    assert_eq!(start(&root, &mut old(Some(KNOWN))), Identity { incarnation: 6, ..KNOWN });
    let (facts, kept) = Facts::open(&root).unwrap();
    assert_eq!(kept, Some(Identity { incarnation: 6, ..KNOWN }));
    assert_eq!(facts.get(IDENTITY).unwrap()[0], 2);
    drop(facts);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn unreadable_facts_are_moved_aside_and_rebuilt_from_the_log() {
    let damage: [fn(&Path); 3] = [
        |facts| std::fs::write(facts.join("conf"), "no such thing").unwrap(),
        |facts| std::fs::write(facts.join("db"), vec![0xa5; 5000]).unwrap(),
        |facts| std::fs::remove_dir_all(facts).unwrap(),
    ];
    for (number, damage) in damage.iter().enumerate() {
        let root = fresh(&format!("damaged-{number}"));
        let mut log = old(Some(KNOWN));
        assert_eq!(start(&root, &mut log).incarnation, 6);
        damage(&root.join("facts"));
        let again = Identity { incarnation: 7, ..KNOWN };
        assert_eq!(start(&root, &mut log), again, "damage {number}");
        std::fs::remove_dir_all(root).unwrap();
    }
}

#[test]
fn an_open_that_never_came_back_is_not_tried_again() {
    let root = fresh("aborted");
    let mut log = old(Some(KNOWN));
    start(&root, &mut log);
    std::fs::write(root.join("facts.opening"), "").unwrap();
    assert_eq!(start(&root, &mut log).incarnation, 7);
    assert!(root.join("facts.unreadable.1").exists() && !root.join("facts.opening").exists());
    std::fs::remove_dir_all(root).unwrap();
}
