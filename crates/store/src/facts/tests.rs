//! Facts are kept, and rebuilt when they cannot be read.

use super::*;

/// A directory of its own below the target directory, emptied first.
fn fresh(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("quorate-facts-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn draw() -> u64 {
    4711
}

fn open(root: &Path, fallback: Option<Identity>) -> (Facts, Identity) {
    Facts::open(root, fallback, &mut draw).expect("facts that open")
}

#[test]
fn an_identity_is_drawn_once_and_each_start_is_counted() {
    let root = fresh("counted");
    let (facts, first) = open(&root, None);
    assert_eq!(first, Identity { cluster: None, node: 4711, incarnation: 1 });
    let named = Identity { cluster: Some(99), ..first };
    facts.set_identity(named).unwrap();
    facts.set_snapshots(&[]).unwrap();
    drop(facts);
    let (facts, second) = Facts::open(&root, None, &mut || 1).unwrap();
    assert_eq!(second, Identity { incarnation: 2, ..named });
    assert_eq!(facts.snapshots().as_deref(), Some(""));
    drop(facts);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn the_log_wins_and_starts_never_go_back() {
    let root = fresh("log-wins");
    let (facts, _) = open(&root, None);
    drop(facts);
    let other = Identity { cluster: Some(1), node: 8, incarnation: 40 };
    let (facts, identity) = open(&root, Some(other));
    assert_eq!(identity, Identity { incarnation: 41, ..other });
    drop(facts);
    let late = Identity { cluster: None, incarnation: 3, ..other };
    let (facts, identity) = open(&root, Some(late));
    assert_eq!(identity, Identity { incarnation: 42, ..other });
    drop(facts);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn unreadable_facts_are_moved_aside_and_rebuilt_from_the_log() {
    let known = Identity { cluster: Some(7), node: 8, incarnation: 5 };
    let damage: [fn(&Path); 3] = [
        |facts| std::fs::write(facts.join("conf"), "no such thing").unwrap(),
        |facts| std::fs::write(facts.join("db"), vec![0xa5; 5000]).unwrap(),
        |facts| std::fs::remove_dir_all(facts).unwrap(),
    ];
    for (number, damage) in damage.iter().enumerate() {
        let root = fresh(&format!("damaged-{number}"));
        let (facts, identity) = open(&root, Some(known));
        assert_eq!(identity.incarnation, 6);
        drop(facts);
        damage(&root.join("facts"));
        let (facts, identity) = open(&root, Some(identity));
        assert_eq!(identity, Identity { incarnation: 7, ..known }, "damage {number}");
        drop(facts);
        std::fs::remove_dir_all(root).unwrap();
    }
}

#[test]
fn an_open_that_never_came_back_is_not_tried_again() {
    let root = fresh("aborted");
    let (facts, identity) = open(&root, None);
    drop(facts);
    std::fs::write(root.join("facts.opening"), "").unwrap();
    let (facts, again) = open(&root, Some(identity));
    assert_eq!(again.incarnation, 2);
    assert!(root.join("facts.unreadable.1").exists() && !root.join("facts.opening").exists());
    drop(facts);
    std::fs::remove_dir_all(root).unwrap();
}
