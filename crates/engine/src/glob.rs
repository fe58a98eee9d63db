//! Glob patterns as Redis matches them, in time that cannot run away.
//!
//! `*`, `?`, classes `[a-z]`, `[^…]`, and the backslash, with Redis's answers to malformed patterns
//! (a class that is not closed ends with the pattern; a backslash at the end stands for itself).
//! Everything but `*` takes exactly one byte, so going back to the last `*` alone is complete, and
//! no recursion is needed. Used by KEYS, SCAN and, in the server, by CONFIG GET and pattern
//! subscriptions.

/// Steps after which a match is given up as a mismatch: 4 million, some 10 ms. Honest patterns need
/// as many steps as pattern and text have bytes; the bound is for `*a*a*a…` on a long text of `a`.
const STEPS_MAX: usize = 1 << 22;

/// A pattern with more stars than this (runs of them count once, one at the end does not) matches
/// nothing: Redis's own protection, kept because its answer is the same everywhere.
const STARS_MAX: usize = 1000;

/// Whether `text` matches `pattern`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    matches_with(pattern, text, u8::eq)
}

/// Whether `text` matches `pattern`, letters of either case being equal.
pub fn matches_ignoring_case(pattern: &[u8], text: &[u8]) -> bool {
    matches_with(pattern, text, u8::eq_ignore_ascii_case)
}

/// Walks pattern and text together; on a mismatch the last `*` takes one byte more.
fn matches_with(pattern: &[u8], text: &[u8], same: fn(&u8, &u8) -> bool) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // Pattern behind the last star, and the text that it has not taken yet.
    let mut star: Option<(&[u8], &[u8])> = None;
    let mut stars = 0;
    for _ in 0..STEPS_MAX {
        if let Some((b'*', behind)) = pattern.split_first() {
            if behind.is_empty() {
                return true;
            }
            if behind.first() != Some(&b'*') {
                stars += 1;
                if stars > STARS_MAX {
                    return false;
                }
            }
            star = Some((behind, text));
            pattern = behind;
            continue;
        }
        let Some((byte, rest)) = text.split_first() else {
            // A star would have been taken above; anything else needs a byte.
            return pattern.is_empty();
        };
        if let Some(behind) = one(pattern, *byte, same) {
            pattern = behind;
            text = rest;
            continue;
        }
        let Some((behind, taken)) = star else {
            return false;
        };
        let longer = taken.get(1..).unwrap_or(&[]);
        star = Some((behind, longer));
        pattern = behind;
        text = longer;
    }
    false
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
    use super::{matches, matches_ignoring_case};
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
    }
}
