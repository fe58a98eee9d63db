//! The small language in which families write down their commands.
//!
//! ```text
//! SET <key> <value> {(NX|XX);GET;KEEPTTL}     any of the options, in any order
//! LPUSH <key> (<element>)+                    one to four elements
//! SPOP <key> (<count>)?                       perhaps a count
//! LRANGE <key> <index> <index>
//! ```
//!
//! `(a|b|)` is one of several, one of which may be nothing; behind the bracket `?` means perhaps,
//! `*` none to three times, `+` once to four times. `{a;b;c}` takes each half the time and shuffles
//! them. Words that hold any of these signs come from a placeholder.

use crate::random::Random;

/// A part of a template.
#[derive(Clone, Debug)]
enum Part {
    Word(String),
    Place(String),
    /// One of these.
    OneOf(Vec<Vec<Part>>),
    /// From so many to so many times.
    Repeat(usize, usize, Box<Part>),
    /// Any of these in any order.
    AnyOf(Vec<Vec<Part>>),
}

/// A template, read.
#[derive(Clone, Debug)]
pub struct Template(Vec<Part>);

impl Template {
    /// Reads one; a template that makes no sense is a mistake in the test.
    pub fn new(text: &str) -> Self {
        let mut rest = text;
        let parts = sequence(&mut rest);
        assert!(rest.is_empty(), "{text}: unbalanced at `{rest}`");
        Self(parts)
    }

    /// The template's words that are no placeholders, in order: what the command is called.
    pub fn names(&self) -> Vec<String> {
        let word = |part: &Part| match part {
            Part::Word(word) => Some(word.clone()),
            _ => None,
        };
        self.0.iter().map_while(word).collect()
    }

    /// A command made of it; `fill` makes what stands for a placeholder.
    pub fn make(
        &self,
        random: &mut Random,
        fill: &mut dyn FnMut(&mut Random, &str) -> Vec<u8>,
    ) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        for part in &self.0 {
            put(part, random, fill, &mut out);
        }
        out
    }
}

fn put(
    part: &Part,
    random: &mut Random,
    fill: &mut dyn FnMut(&mut Random, &str) -> Vec<u8>,
    out: &mut Vec<Vec<u8>>,
) {
    match part {
        Part::Word(word) => out.push(word.as_bytes().to_vec()),
        Part::Place(name) => out.push(fill(random, name)),
        Part::OneOf(choices) => {
            for part in random.pick(choices) {
                put(part, random, fill, out);
            }
        }
        Part::Repeat(least, most, part) => {
            for _ in 0..least + random.below(most - least + 1) {
                put(part, random, fill, out);
            }
        }
        Part::AnyOf(options) => {
            let mut order: Vec<&Vec<Part>> = options.iter().collect();
            order.retain(|_| random.chance(1, 2));
            random.shuffle(&mut order);
            for part in order.into_iter().flatten() {
                put(part, random, fill, out);
            }
        }
    }
}

/// Parts up to a sign that ends them.
fn sequence(rest: &mut &str) -> Vec<Part> {
    let mut parts = Vec::new();
    loop {
        *rest = rest.trim_start();
        let part = match rest.chars().next() {
            None | Some('|' | ';' | ')' | '}') => return parts,
            Some('(') => quantified(rest),
            Some('{') => Part::AnyOf(choices(rest, ';')),
            Some('<') if rest.contains('>') && !rest.starts_with("< ") => {
                let (name, behind) = rest[1..].split_once('>').expect("just looked");
                *rest = behind;
                Part::Place(name.to_owned())
            }
            Some(_) => {
                let end = rest.find([' ', '(', ')', '{', '}', '|', ';', '<']).unwrap_or(rest.len());
                let (word, behind) = rest.split_at(end.max(1));
                *rest = behind;
                Part::Word(word.to_owned())
            }
        };
        parts.push(part);
    }
}

fn quantified(rest: &mut &str) -> Part {
    let part = Part::OneOf(choices(rest, '|'));
    let (least, most) = match rest.chars().next() {
        Some('?') => (0, 1),
        Some('*') => (0, 3),
        Some('+') => (1, 4),
        _ => return part,
    };
    *rest = &rest[1..];
    Part::Repeat(least, most, Box::new(part))
}

/// What stands between brackets, cut at `sign`.
fn choices(rest: &mut &str, sign: char) -> Vec<Vec<Part>> {
    let mut all = Vec::new();
    loop {
        *rest = &rest[1..];
        all.push(sequence(rest));
        if !rest.starts_with(sign) {
            assert!(rest.starts_with([')', '}']), "unbalanced at `{rest}`");
            *rest = &rest[1..];
            return all;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Template;
    use crate::random::Random;
    use std::collections::BTreeSet;

    fn lines(template: &str) -> BTreeSet<String> {
        let template = Template::new(template);
        let mut random = Random::new(1);
        let mut line = || {
            let words = template.make(&mut random, &mut |_, name| name.to_uppercase().into_bytes());
            let words: Vec<_> =
                words.into_iter().map(|word| String::from_utf8(word).unwrap()).collect();
            words.join(" ")
        };
        (0..500).map(|_| line()).collect()
    }

    #[test]
    fn templates_make_what_they_say() {
        let check = |template: &str, expect: &[&str]| {
            let expect: BTreeSet<String> = expect.iter().map(|&line| line.to_owned()).collect();
            assert_eq!(lines(template), expect, "{template}");
        };
        check("GET <key>", &["GET KEY"]);
        check("A (B|C D|)", &["A B", "A C D", "A"]);
        check(
            "A (B)? (C)+",
            &[
                "A C",
                "A C C",
                "A C C C",
                "A C C C C",
                "A B C",
                "A B C C",
                "A B C C C",
                "A B C C C C",
            ],
        );
        check("A {B;C}", &["A", "A B", "A C", "A B C", "A C B"]);
        check("A {(B|C) <x>;}", &["A", "A B X", "A C X"]);
        check(
            "X - + * ? > ( B | (C)* )",
            &[
                "X - + * ? > B",
                "X - + * ? >",
                "X - + * ? > C",
                "X - + * ? > C C",
                "X - + * ? > C C C",
            ],
        );
        assert_eq!(Template::new("XGROUP CREATE <k> (A)").names(), ["XGROUP", "CREATE"]);
    }
}
