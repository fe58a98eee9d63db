//! Lua 5.1's patterns, with every step counted.
//!
//! Luau's own matcher would do, but for sets and plain searches that run for minutes without once
//! asking whether they may. A pattern ends at its first zero byte, as in 5.1.

use crate::native::{Fault, Shared};

/// How deep repetitions and captures may lie in one another; Lua's own bound from 5.2 on.
const DEPTH_MAX: u32 = 200;
/// How many captures a pattern may have.
const CAPTURES_MAX: usize = 32;
/// What a pattern escapes with.
const ESCAPE: u8 = b'%';

/// A capture.
#[derive(Clone, Copy)]
struct Capture {
    start: usize,
    length: Length,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    /// Its end was not yet met.
    Open,
    /// It is the position.
    Position,
    Bytes(usize),
}

/// What a capture gives.
pub(crate) enum Captured<'a> {
    Bytes(&'a [u8]),
    /// A position, counted from 1.
    Position(usize),
}

/// A pattern on a text.
pub(crate) struct Matcher<'a> {
    shared: &'a Shared,
    text: &'a [u8],
    pattern: &'a [u8],
    captures: Vec<Capture>,
    depth: u32,
}

fn malformed(text: &str) -> Fault {
    Fault::text(text)
}

impl<'a> Matcher<'a> {
    pub(crate) fn new(shared: &'a Shared, text: &'a [u8], pattern: &'a [u8]) -> Self {
        let end = memchr::memchr(0, pattern).unwrap_or(pattern.len());
        let pattern = pattern.get(..end).unwrap_or(pattern);
        Matcher { shared, text, pattern, captures: Vec::new(), depth: 0 }
    }

    /// Whether the pattern fits at this place; if so, where the match ends.
    pub(crate) fn at(&mut self, start: usize) -> Result<Option<usize>, Fault> {
        self.captures.clear();
        self.depth = 0;
        self.fit(start, 0)
    }

    /// How many values the match gives: its captures, or all of it.
    pub(crate) fn captures(&self) -> usize {
        self.captures.len().max(1)
    }

    /// Whether the pattern has captures of its own.
    pub(crate) fn has_captures(&self) -> bool {
        !self.captures.is_empty()
    }

    /// One of the values of a match; without captures, the first is all of it.
    pub(crate) fn capture(&self, at: usize, place: (usize, usize)) -> Result<Captured<'a>, Fault> {
        match self.captures.get(at) {
            None if at == 0 => Ok(Captured::Bytes(self.whole(place))),
            None => Err(malformed("invalid capture index")),
            Some(Capture { length: Length::Open, .. }) => Err(malformed("unfinished capture")),
            Some(Capture { start, length: Length::Position }) => Ok(Captured::Position(start + 1)),
            Some(Capture { start, length: Length::Bytes(length) }) => {
                let bytes = self.text.get(*start..start + length);
                Ok(Captured::Bytes(bytes.unwrap_or_default()))
            }
        }
    }

    /// All that a match has.
    pub(crate) fn whole(&self, (start, end): (usize, usize)) -> &'a [u8] {
        self.text.get(start..end).unwrap_or_default()
    }

    fn pattern_at(&self, at: usize) -> Option<u8> {
        self.pattern.get(at).copied()
    }

    /// The pattern from `p` on, on the text from `s` on.
    fn fit(&mut self, s: usize, p: usize) -> Result<Option<usize>, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(malformed("pattern too complex"));
        }
        let fits = self.fit_items(s, p);
        self.depth -= 1;
        fits
    }

    fn fit_items(&mut self, mut s: usize, mut p: usize) -> Result<Option<usize>, Fault> {
        loop {
            self.shared.step(1)?;
            let Some(item) = self.pattern_at(p) else { return Ok(Some(s)) };
            let next = self.pattern_at(p + 1);
            match (item, next) {
                (b'(', Some(b')')) => return self.open(s, p + 2, Length::Position),
                (b'(', _) => return self.open(s, p + 1, Length::Open),
                (b')', _) => return self.close(s, p + 1),
                (b'$', None) => return Ok((s == self.text.len()).then_some(s)),
                (ESCAPE, Some(b'b')) => match self.balanced(s, p + 2)? {
                    Some(end) => (s, p) = (end, p + 4),
                    None => return Ok(None),
                },
                (ESCAPE, Some(b'f')) => match self.frontier(s, p + 2)? {
                    Some(end) => p = end,
                    None => return Ok(None),
                },
                (ESCAPE, Some(digit @ b'0'..=b'9')) => match self.again(s, digit)? {
                    Some(end) => (s, p) = (end, p + 2),
                    None => return Ok(None),
                },
                _ => {
                    let end = self.class_end(p)?;
                    let one = self.single(s, p, end)?;
                    match self.pattern_at(end) {
                        Some(b'?') => {
                            if one && let Some(found) = self.fit(s + 1, end + 1)? {
                                return Ok(Some(found));
                            }
                            p = end + 1;
                        }
                        Some(b'*') => return self.most(s, p, end),
                        Some(b'+') if one => return self.most(s + 1, p, end),
                        Some(b'-') => return self.fewest(s, p, end),
                        Some(b'+') => return Ok(None),
                        _ if one => (s, p) = (s + 1, end),
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    fn open(&mut self, s: usize, p: usize, length: Length) -> Result<Option<usize>, Fault> {
        if self.captures.len() >= CAPTURES_MAX {
            return Err(malformed("too many captures"));
        }
        self.captures.push(Capture { start: s, length });
        let before = self.captures.len() - 1;
        let found = self.fit(s, p)?;
        if found.is_none() {
            self.captures.truncate(before);
        }
        Ok(found)
    }

    fn close(&mut self, s: usize, p: usize) -> Result<Option<usize>, Fault> {
        let open = self.captures.iter().rposition(|capture| capture.length == Length::Open);
        let at = open.ok_or_else(|| malformed("invalid pattern capture"))?;
        if let Some(capture) = self.captures.get_mut(at) {
            capture.length = Length::Bytes(s - capture.start);
        }
        let found = self.fit(s, p)?;
        if found.is_none()
            && let Some(capture) = self.captures.get_mut(at)
        {
            capture.length = Length::Open;
        }
        Ok(found)
    }

    /// `%bxy`
    fn balanced(&mut self, s: usize, p: usize) -> Result<Option<usize>, Fault> {
        let (Some(open), Some(close)) = (self.pattern_at(p), self.pattern_at(p + 1)) else {
            return Err(malformed("unbalanced pattern"));
        };
        if self.text.get(s) != Some(&open) {
            return Ok(None);
        }
        let mut depth = 1_usize;
        for (at, byte) in self.text.iter().enumerate().skip(s + 1) {
            self.shared.step(1)?;
            if *byte == close {
                depth -= 1;
                if depth == 0 {
                    return Ok(Some(at + 1));
                }
            } else if *byte == open {
                depth += 1;
            }
        }
        Ok(None)
    }

    /// `%f[set]`: where the pattern goes on, if here is the border of a run of the set.
    fn frontier(&mut self, s: usize, p: usize) -> Result<Option<usize>, Fault> {
        if self.pattern_at(p) != Some(b'[') {
            return Err(malformed("missing '[' after '%f' in pattern"));
        }
        let end = self.class_end(p)?;
        let before = s.checked_sub(1).and_then(|at| self.text.get(at)).copied().unwrap_or(0);
        let here = self.text.get(s).copied().unwrap_or(0);
        let border = !self.in_set(before, p, end - 1) && self.in_set(here, p, end - 1);
        Ok(border.then_some(end))
    }

    /// `%1`: what a capture has, once more.
    fn again(&mut self, s: usize, digit: u8) -> Result<Option<usize>, Fault> {
        let capture = usize::from(digit).checked_sub(usize::from(b'1'));
        let capture = capture.and_then(|at| self.captures.get(at));
        let Some(Capture { start, length }) = capture.copied().filter(|c| c.length != Length::Open)
        else {
            return Err(malformed("invalid capture index"));
        };
        let Length::Bytes(length) = length else { return Ok(None) };
        self.shared.step(length as u64 / 16)?;
        let same = self.text.get(s..s + length) == self.text.get(start..start + length);
        Ok(same.then_some(s + length))
    }

    /// Where the class that begins at `p` ends.
    fn class_end(&self, p: usize) -> Result<usize, Fault> {
        match self.pattern_at(p) {
            Some(ESCAPE) if self.pattern_at(p + 1).is_none() => {
                Err(malformed("malformed pattern (ends with '%')"))
            }
            Some(ESCAPE) => Ok(p + 2),
            Some(b'[') => self.set_end(p),
            _ => Ok(p + 1),
        }
    }

    fn set_end(&self, p: usize) -> Result<usize, Fault> {
        let missing = || malformed("malformed pattern (missing ']')");
        let mut at = if self.pattern_at(p + 1) == Some(b'^') { p + 2 } else { p + 1 };
        // The first byte is of the set even if it is a bracket.
        loop {
            match self.pattern_at(at) {
                None => return Err(missing()),
                Some(ESCAPE) if self.pattern_at(at + 1).is_none() => return Err(missing()),
                Some(ESCAPE) => at += 2,
                Some(_) => at += 1,
            }
            if self.pattern_at(at) == Some(b']') {
                return Ok(at + 1);
            }
        }
    }

    /// Whether the byte at `s` is of the class between `p` and `end`.
    fn single(&self, s: usize, p: usize, end: usize) -> Result<bool, Fault> {
        let Some(byte) = self.text.get(s).copied() else { return Ok(false) };
        Ok(match self.pattern_at(p) {
            Some(b'.') => true,
            Some(ESCAPE) => self.pattern_at(p + 1).is_some_and(|class| in_class(byte, class)),
            Some(b'[') => {
                self.shared.step((end - p) as u64 / 4)?;
                self.in_set(byte, p, end - 1)
            }
            other => other == Some(byte),
        })
    }

    /// Whether the byte is of the set that begins at `p`, and whose bracket closes at `end`.
    fn in_set(&self, byte: u8, p: usize, end: usize) -> bool {
        let negated = self.pattern_at(p + 1) == Some(b'^');
        let mut at = if negated { p + 2 } else { p + 1 };
        while at < end {
            let Some(item) = self.pattern_at(at) else { break };
            let until = self.pattern_at(at + 2).filter(|_| at + 2 < end);
            if item == ESCAPE {
                if self.pattern_at(at + 1).is_some_and(|class| in_class(byte, class)) {
                    return !negated;
                }
                at += 2;
            } else if let (Some(b'-'), Some(until)) = (self.pattern_at(at + 1), until) {
                if (item..=until).contains(&byte) {
                    return !negated;
                }
                at += 3;
            } else {
                if item == byte {
                    return !negated;
                }
                at += 1;
            }
        }
        negated
    }

    /// As many of the class as there are, then fewer.
    fn most(&mut self, s: usize, p: usize, end: usize) -> Result<Option<usize>, Fault> {
        let mut count = 0;
        while self.single(s + count, p, end)? {
            self.shared.step(1)?;
            count += 1;
        }
        loop {
            if let Some(found) = self.fit(s + count, end + 1)? {
                return Ok(Some(found));
            }
            if count == 0 {
                return Ok(None);
            }
            count -= 1;
        }
    }

    /// None of the class, then more.
    fn fewest(&mut self, mut s: usize, p: usize, end: usize) -> Result<Option<usize>, Fault> {
        loop {
            if let Some(found) = self.fit(s, end + 1)? {
                return Ok(Some(found));
            }
            if !self.single(s, p, end)? {
                return Ok(None);
            }
            s += 1;
        }
    }
}

/// `%a` and so on; an upper-case letter is the complement, any other byte itself.
fn in_class(byte: u8, class: u8) -> bool {
    let is = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0B,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is != class.is_ascii_uppercase()
}
