//! Glob patterns as Redis matches them, in time that cannot run away.
//!
//! `*`, `?`, classes `[a-z]`, `[^…]`, and the backslash, with Redis's answers to malformed patterns
//! (a class that is not closed ends with the pattern; a backslash at the end stands for itself).
//! Everything but `*` takes exactly one byte, so going back to the last `*` alone is complete, and
//! no recursion is needed. Used by KEYS, SCAN and, in the server, by CONFIG GET and pattern
//! subscriptions.

use alloc::vec::Vec;

/// Steps after which a match is given up as a mismatch: 4 million, some 10 ms. Honest patterns need
/// as many steps as pattern and text have bytes; the bound is for `*a*a*a…` on a long text of `a`.
/// No step looks at more than [`CLASS_WALKED_MAX`] bytes of the pattern.
const STEPS_MAX: usize = 1 << 22;

/// A pattern with more stars than this (runs of them count once, one at the end does not) matches
/// nothing: Redis's own protection, kept because its answer is the same everywhere.
const STARS_MAX: usize = 1000;

/// A class of more bytes than this is made a set of bytes when the pattern is compiled. Shorter
/// ones are walked at each try: a set and its place take 56 bytes, so that sets of all classes
/// could take 28 times the memory of their pattern, and these take some four times as much at most.
const CLASS_WALKED_MAX: usize = 16;

/// Whether `text` matches `pattern`. Who has more than one text compiles a [`Pattern`].
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    Pattern::new(pattern).matches(text)
}

/// Whether `text` matches `pattern`, letters of either case being equal.
pub fn matches_ignoring_case(pattern: &[u8], text: &[u8]) -> bool {
    Pattern::with(pattern, u8::eq_ignore_ascii_case).matches(text)
}

/// A pattern made ready for many texts, in one walk over its bytes.
#[derive(Debug)]
pub struct Pattern<'a> {
    bytes: &'a [u8],
    same: fn(&u8, &u8) -> bool,
    /// The long classes, in the order of the pattern. What an element is does not depend on the
    /// text, so that a match comes to them in this order too.
    classes: Vec<LongClass<'a>>,
}

/// A class that is too long to be walked at each try.
#[derive(Debug)]
struct LongClass<'a> {
    /// Length of the pattern from the class's `[` on: the place where it stands.
    left: usize,
    /// A bit for each byte that fits.
    set: [u64; 4],
    behind: &'a [u8],
}

/// A place in a pattern.
#[derive(Clone, Copy)]
struct Place<'p, 'a> {
    rest: &'a [u8],
    /// The long classes from here on.
    classes: &'p [LongClass<'a>],
}

impl<'a> Pattern<'a> {
    /// Compiles a pattern.
    pub fn new(pattern: &'a [u8]) -> Self {
        Self::with(pattern, u8::eq)
    }

    fn with(bytes: &'a [u8], same: fn(&u8, &u8) -> bool) -> Self {
        let mut classes = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match rest {
                [b'[', inner @ ..] => {
                    let (_, behind) = class(inner, 0, same);
                    if rest.len() - behind.len() > CLASS_WALKED_MAX {
                        classes.push(LongClass { left: rest.len(), set: set(inner, same), behind });
                    }
                    behind
                }
                [b'\\', _, behind @ ..] | [_, behind @ ..] => behind,
                [] => break,
            };
        }
        Self { bytes, same, classes }
    }

    /// Whether `text` matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        self.walk(text).0
    }

    /// Walks pattern and text together; on a mismatch the last `*` takes one byte more. Returns the
    /// steps too.
    fn walk(&self, text: &[u8]) -> (bool, usize) {
        let mut text = text;
        let mut place = Place { rest: self.bytes, classes: &self.classes };
        // Pattern behind the last star, and the text that it has not taken yet.
        let mut star: Option<(Place<'_, 'a>, &[u8])> = None;
        let mut stars = 0;
        for step in 1..=STEPS_MAX {
            if let Some((b'*', behind)) = place.rest.split_first() {
                if behind.is_empty() {
                    return (true, step);
                }
                if behind.first() != Some(&b'*') {
                    stars += 1;
                    if stars > STARS_MAX {
                        return (false, step);
                    }
                }
                place.rest = behind;
                star = Some((place, text));
                continue;
            }
            let Some((byte, rest)) = text.split_first() else {
                // A star would have been taken above; anything else needs a byte.
                return (place.rest.is_empty(), step);
            };
            if let Some(behind) = place.one(*byte, self.same) {
                place = behind;
                text = rest;
                continue;
            }
            let Some((behind, taken)) = star else {
                return (false, step);
            };
            let longer = taken.get(1..).unwrap_or(&[]);
            star = Some((behind, longer));
            place = behind;
            text = longer;
        }
        (false, STEPS_MAX)
    }
}

impl Place<'_, '_> {
    /// Matches one byte with the element here; returns the place behind it.
    fn one(self, byte: u8, same: fn(&u8, &u8) -> bool) -> Option<Self> {
        match self.classes.split_first() {
            Some((class, classes)) if class.left == self.rest.len() => {
                has(&class.set, byte).then_some(Self { rest: class.behind, classes })
            }
            _ => one(self.rest, byte, same).map(|rest| Self { rest, ..self }),
        }
    }
}

fn has(set: &[u64; 4], byte: u8) -> bool {
    set.get(usize::from(byte >> 6)).is_some_and(|word| word >> (byte & 63) & 1 == 1)
}

/// The bytes that fit the class that begins behind its `[`, in one walk over it: a range only notes
/// how far it reaches from its first byte.
fn set(pattern: &[u8], same: fn(&u8, &u8) -> bool) -> [u64; 4] {
    let (negated, mut rest) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    let lower = |byte: u8| if same(&b'a', &b'A') { byte.to_ascii_lowercase() } else { byte };
    let mut exact = [0_u64; 4];
    let mut reach = [None; 256];
    loop {
        let (from, to, behind) = match rest {
            [] | [b']', ..] => break,
            [b'\\', literal, behind @ ..] => {
                if let Some(word) = exact.get_mut(usize::from(literal >> 6)) {
                    *word |= 1 << (literal & 63);
                }
                rest = behind;
                continue;
            }
            [from, b'-', to, behind @ ..] => (lower(*from), lower(*to), behind),
            [literal, behind @ ..] => (lower(*literal), lower(*literal), behind),
        };
        if let Some(reach) = reach.get_mut(usize::from(from.min(to))) {
            *reach = (*reach).max(Some(from.max(to)));
        }
        rest = behind;
    }
    let mut folded = [0_u64; 4];
    let mut end = None;
    for (byte, reach) in (0..=u8::MAX).zip(reach) {
        end = end.max(reach);
        if let Some(word) = folded.get_mut(usize::from(byte >> 6)) {
            *word |= u64::from(Some(byte) <= end) << (byte & 63);
        }
    }
    let mut set = [0_u64; 4];
    for byte in 0..=u8::MAX {
        let found = has(&exact, byte) || has(&folded, lower(byte));
        if let Some(word) = set.get_mut(usize::from(byte >> 6)) {
            *word |= u64::from(found != negated) << (byte & 63);
        }
    }
    set
}

/// Matches one byte with the element at the pattern's front; returns the pattern behind it.
fn one(pattern: &[u8], byte: u8, same: fn(&u8, &u8) -> bool) -> Option<&[u8]> {
    match pattern {
        [] => None,
        [b'?', behind @ ..] => Some(behind),
        [b'[', behind @ ..] => {
            let (is_in, behind) = class(behind, byte, same);
            is_in.then_some(behind)
        }
        [b'\\', literal, behind @ ..] | [literal, behind @ ..] => {
            same(literal, &byte).then_some(behind)
        }
    }
}

/// Whether the class that begins behind its `[` holds the byte, and the pattern behind the class.
fn class(pattern: &[u8], byte: u8, same: fn(&u8, &u8) -> bool) -> (bool, &[u8]) {
    let (negated, mut rest) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    let mut found = false;
    let lower = |byte: &u8| if same(&b'a', &b'A') { byte.to_ascii_lowercase() } else { *byte };
    loop {
        rest = match rest {
            [] => break,
            [b'\\', literal, behind @ ..] => {
                // Redis compares an escaped byte of a class exactly, whatever the case rule.
                found |= *literal == byte;
                behind
            }
            [b']', behind @ ..] => {
                rest = behind;
                break;
            }
            [from, b'-', to, behind @ ..] => {
                let (from, to) = (lower(from), lower(to));
                found |= (from.min(to)..=from.max(to)).contains(&lower(&byte));
                behind
            }
            [literal, behind @ ..] => {
                found |= same(literal, &byte);
                behind
            }
        };
    }
    (found != negated, rest)
}

#[cfg(test)]
mod tests {
    use super::{Pattern, has, matches, matches_ignoring_case};
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn patterns_match_as_in_redis() {
        let check = |pattern: &str, text: &str, expect: bool| {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expect, "{pattern} {text}");
        };
        check("", "", true);
        check("", "a", false);
        check("a", "", false);
        check("*", "", true);
        check("***", "", true);
        check("*?", "", false);
        check("*", "anything", true);
        check("h?llo", "hello", true);
        check("h?llo", "hllo", false);
        check("h*llo", "heeeello", true);
        check("h*llo", "heeeell", false);
        check("*llo*", "hello", true);
        check("a*b*c", "aXbXbXc", true);
        check("a*b*c", "aXbXbX", false);
        check("h[ae]llo", "hallo", true);
        check("h[ae]llo", "hillo", false);
        check("h[^e]llo", "hallo", true);
        check("h[^e]llo", "hello", false);
        check("h[a-b]llo", "hbllo", true);
        check("h[b-a]llo", "hallo", true);
        check("[a-z]*[0-9]", "key9", true);
        check("h\\?llo", "h?llo", true);
        check("h\\?llo", "hello", false);
        check("\\", "\\", true);
        check("a\\", "a\\", true);
        check("[\\]]", "]", true);
        check("[abc", "c", true);
        check("[abc", "d", false);
        check("[", "a", false);
        check("[^", "a", true);
        check("[]a", "a", false);
        check("[^]", "x", true);
        check("[a-]", "]", true);
        check("[a-", "-", true);
        check("[\\", "\\", true);
        check("\\*", "*", true);
        check("\\*", "a", false);
        check("Hello", "hello", false);
    }

    #[test]
    fn case_can_be_ignored() {
        assert!(matches_ignoring_case(b"HE[L-M]*", b"hello"));
        assert!(matches_ignoring_case(b"maxMEM*", b"maxmemory"));
        assert!(!matches_ignoring_case(b"b*", b"A"));
    }

    #[test]
    fn a_hostile_pattern_ends() {
        let pattern: Vec<u8> = b"*a".iter().copied().cycle().take(200).chain(*b"b").collect();
        let text = std::vec![b'a'; 100_000];
        assert!(!matches(&pattern, &text));
    }

    #[test]
    fn a_long_class_is_one_step_for_each_byte() {
        let pattern = [&b"*["[..], &b"abcde-g\\h".repeat(5000), b"]x"].concat();
        let pattern = Pattern::new(&pattern);
        let (fits, steps) = pattern.walk(&std::vec![b'a'; 100_000]);
        assert!(!fits);
        assert!(steps <= 200_002, "{steps}");
        assert!(pattern.matches(b"zzzfx"));
        assert!(!pattern.matches(b"zzzzx"));
    }

    #[test]
    fn sets_take_little_more_memory_than_their_pattern() {
        let count = |class: &[u8]| Pattern::new(&class.repeat(100)).classes.len();
        assert_eq!(count(b"[]"), 0);
        assert_eq!(count(b"[abcdefghijklmn]"), 0);
        assert_eq!(count(b"[abcdefghijklmno]"), 100);
    }

    #[test]
    fn a_thousand_stars_are_enough() {
        let text = [b'a'; 2000];
        let check = |stars: usize, expect: bool| {
            assert_eq!(matches("*?".repeat(stars).as_bytes(), &text), expect, "{stars}");
        };
        check(1000, true);
        check(1001, false);
        assert!(matches("*".repeat(2000).as_bytes(), &text));
    }

    /// The plain recursive meaning, to compare with.
    fn means(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', behind @ ..] => (0..=text.len()).any(|at| means(behind, &text[at..])),
            _ => text.split_first().is_some_and(|(byte, rest)| {
                super::one(pattern, *byte, u8::eq).is_some_and(|behind| means(behind, rest))
            }),
        }
    }

    proptest! {
        #[test]
        fn going_back_to_the_last_star_is_complete(
            pattern in "[ab*?\\[\\]^\\\\-]{0,9}",
            text in "[ab\\]-]{0,8}",
        ) {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(matches(pattern, text), means(pattern, text));
        }

        #[test]
        fn patterns_with_long_classes_match_as_walked_ones(
            pattern in "(\\*|\\?|a|\\[\\^?[abB\\\\-]{17,24}\\]?){1,5}",
            text in "[abB\\\\-]{0,8}",
        ) {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(matches(pattern, text), means(pattern, text));
        }

        #[test]
        fn a_set_holds_what_a_walk_finds(
            class in proptest::collection::vec(
                prop_oneof![Just(b'-'), Just(b'\\'), Just(b'^'), Just(b'A'), any::<u8>()], 0..24),
        ) {
            for same in [u8::eq as fn(&u8, &u8) -> bool, u8::eq_ignore_ascii_case] {
                let set = super::set(&class, same);
                for byte in 0..=u8::MAX {
                    prop_assert_eq!(has(&set, byte), super::class(&class, byte, same).0);
                }
            }
        }
    }
}
