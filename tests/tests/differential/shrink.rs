//! From a long trail that shows something to a short one that still does.

use quorate_tests::generate::Command;

/// Removes commands as long as `shows` says yes, in pieces of half the trail, then of a quarter, …
/// to single ones; then arguments.
pub(crate) fn shrink(
    mut trail: Vec<Command>,
    shows: &mut dyn FnMut(&[Command]) -> bool,
) -> Vec<Command> {
    let mut piece = trail.len().div_ceil(2);
    while piece > 0 {
        let before = trail.len();
        let mut at = trail.len();
        while at > 0 {
            let start = at.saturating_sub(piece);
            let mut shorter = trail.clone();
            shorter.drain(start..at);
            if shows(&shorter) {
                trail = shorter;
            }
            at = start;
        }
        if piece > 1 {
            piece /= 2;
        } else if trail.len() == before {
            break;
        }
    }
    for at in 0..trail.len() {
        let mut word = trail[at].len();
        while word > 1 {
            word -= 1;
            let mut shorter = trail.clone();
            shorter[at].remove(word);
            if shows(&shorter) {
                trail = shorter;
            }
        }
    }
    trail
}

#[test]
fn only_what_matters_is_left() {
    let word = |text: &str| text.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    let trail: Vec<Command> = ["a", "b x y z", "c", "d", "e", "b x", "g u v"].map(word).to_vec();
    let holds = |trail: &[Command], name: u8, arg: u8| {
        trail.iter().any(|command| command[0] == [name] && command.contains(&vec![arg]))
    };
    let mut tries = 0;
    let left = shrink(trail, &mut |trail| {
        tries += 1;
        holds(trail, b'b', b'y') && holds(trail, b'g', b'v')
    });
    assert_eq!(left, ["b y", "g v"].map(word));
    assert!(tries < 60, "{tries}");
}
