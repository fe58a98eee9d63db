//! Makes commands as clients send them, right ones mostly, from a seed: what the differential
//! tester runs against the engine and Redis.
//!
//! A family is a file here with templates ([`template`]) of all its commands and, if it needs them,
//! placeholders of its own. Keys are few and shared by all, so that commands meet each other's
//! values. Some commands are spoilt afterwards: a word too many, too few, or of another kind.

mod bitmap;
pub mod fill;
mod generic;
mod geo;
mod hash;
mod hll;
mod list;
mod set;
mod sort;
mod stream;
mod string;
pub mod template;
mod zset;

use crate::random::Random;
use template::Template;

/// The words of one command.
pub type Command = Vec<Vec<u8>>;

/// The commands of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its keys. A command takes one of another family's now and then.
    pub keys: &'static [&'static str],
    /// What it sends; a template that stands here twice is sent twice as often.
    pub templates: &'static [&'static str],
    /// Placeholders that only this family has.
    pub fill: fn(&mut Random, &str) -> Option<Vec<u8>>,
}

/// All families.
pub const FAMILIES: &[Family] = &[
    string::FAMILY,
    generic::FAMILY,
    bitmap::FAMILY,
    hll::FAMILY,
    list::FAMILY,
    set::FAMILY,
    hash::FAMILY,
    zset::FAMILY,
    geo::FAMILY,
    stream::FAMILY,
    sort::FAMILY,
];

/// The family of this name.
pub fn family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.name == name)
}

/// No placeholders but those that all share.
pub fn no_own(_: &mut Random, _: &str) -> Option<Vec<u8>> {
    None
}

/// A family ready to make commands.
#[derive(Debug)]
struct Source {
    family: &'static Family,
    templates: Vec<Template>,
}

/// Makes commands.
#[derive(Debug)]
pub struct Maker {
    random: Random,
    sources: Vec<Source>,
    /// Of these the first makes four commands in five; with `None` all make as many.
    mostly_first: bool,
}

impl Maker {
    /// Makes commands of one family with some strings and generic ones between them, or of all
    /// families alike. Only what `knows` says yes to (a command's name, and with its subcommand) is
    /// made.
    pub fn new(seed: u64, of: Option<&'static Family>, knows: &dyn Fn(&[String]) -> bool) -> Self {
        let chosen: Vec<&'static Family> = match of {
            Some(family) => vec![family, &generic::FAMILY, &string::FAMILY],
            None => FAMILIES.iter().collect(),
        };
        let source = |family: &'static Family| {
            let all = family.templates.iter().map(|text| Template::new(text));
            let templates = all.filter(|template| knows(&template.names())).collect();
            Source { family, templates }
        };
        let mut sources: Vec<Source> = chosen.into_iter().map(source).collect();
        sources.retain(|source| !source.templates.is_empty());
        let mostly_first = of.is_some();
        Self { random: Random::new(seed), sources, mostly_first }
    }

    /// Whether there is anything of the family itself to make.
    pub fn has_its_family(&self, family: &Family) -> bool {
        self.sources.first().is_some_and(|source| source.family.name == family.name)
    }

    /// The next command.
    pub fn make(&mut self) -> Command {
        loop {
            let command = self.attempt();
            if is_safe(&command) {
                return command;
            }
        }
    }

    fn attempt(&mut self) -> Command {
        let random = &mut self.random;
        let is_first = self.mostly_first && random.chance(4, 5);
        let number = if is_first { 0 } else { random.below(self.sources.len()) };
        let home = if self.mostly_first { 0 } else { number };
        let (source, own) = (&self.sources[number], self.sources[home].family.keys);
        let template = random.pick(&source.templates);
        let mut fill = |random: &mut Random, place: &str| {
            let keys = match random.below(20) {
                0 => random.pick(FAMILIES).keys,
                _ => own,
            };
            (source.family.fill)(random, place).unwrap_or_else(|| fill::fill(random, place, keys))
        };
        let mut command = template.make(random, &mut fill);
        if random.chance(1, 25) {
            self.spoil(&mut command, own);
        }
        command
    }

    /// Makes a mistake in a command.
    fn spoil(&mut self, command: &mut Command, keys: &[&str]) {
        let random = &mut self.random;
        let at = 1 + random.below(command.len());
        let kind = *random.pick(&["word", "number", "float", "value", "element", "key"]);
        let word = fill::fill(random, kind, keys);
        match random.below(5) {
            0 => command.insert(at, word),
            1 if at < command.len() => {
                command.remove(at);
            }
            2 => command.truncate(at),
            3 if at < command.len() => command[at] = word,
            _ => {
                let which = random.below(command.len());
                command[which].make_ascii_lowercase();
            }
        }
    }
}

/// Whether a command may be sent: what waits, what expires while the test runs, and counts that
/// make a server answer for hours or take all memory, may not.
fn is_safe(command: &Command) -> bool {
    let name = command[0].to_ascii_uppercase();
    let text = |at: usize| command.get(at).and_then(|word| std::str::from_utf8(word).ok());
    let int = |at: usize| text(at).and_then(|text| text.trim().parse::<i64>().ok());
    let is =
        |at: usize, option: &str| text(at).is_some_and(|text| text.eq_ignore_ascii_case(option));
    let soon = |at: usize, unit_ms: i64| {
        int(at).is_some_and(|ttl| (1..50_000_000).contains(&ttl.saturating_mul(unit_ms)))
    };
    let has = |option: &str| (1..command.len()).any(|at| is(at, option));
    match name.as_slice() {
        b"EXPIRE" | b"SETEX" => !soon(2, 1000),
        b"PEXPIRE" | b"PSETEX" => !soon(2, 1),
        // Redis lets the sum of the clock and a huge TTL wrap around; we refuse it.
        b"RESTORE" | b"RESTORE-ASKING" => {
            int(2).is_none_or(|ttl| ttl < i64::MAX / 2) && (!soon(2, 1) || has("ABSTTL"))
        }
        b"SET" | b"GETEX" => (2..command.len())
            .all(|at| !(is(at, "EX") && soon(at + 1, 1000) || is(at, "PX") && soon(at + 1, 1))),
        b"SRANDMEMBER" | b"HRANDFIELD" | b"ZRANDMEMBER" => int(2).is_none_or(|count| count > -1000),
        // Where texts that BY finds are equal, a list without LIMIT keeps its order. Sets and
        // sorted sets are read from Redis's hash tables, and its LIMIT has an order of its own.
        b"SORT" | b"SORT_RO" if has("BY") && has("ALPHA") => is(1, "texts") && !has("LIMIT"),
        // 7.2 makes a large sorted set at once, 7.0 packs its first members, where -0 becomes 0.
        b"ZADD" => !has("-0") || command.len() == 4,
        b"XREAD" | b"XREADGROUP" => (1..command.len())
            .filter(|at| is(*at, "BLOCK"))
            .all(|at| text(at + 1).is_none_or(|text| ["1", "2", "-1", "x"].contains(&text))),
        b"BLPOP" | b"BRPOP" | b"BZPOPMIN" | b"BZPOPMAX" => does_not_wait(text(command.len() - 1)),
        b"BLMPOP" | b"BZMPOP" => does_not_wait(text(1)),
        b"BLMOVE" => does_not_wait(text(5)),
        b"BRPOPLPUSH" => does_not_wait(text(3)),
        // Redis takes memory for as many ids as it is asked to look at.
        b"XAUTOCLAIM" => (5..command.len()).all(|at| int(at).is_none_or(|count| count < 100_000)),
        _ => true,
    }
}

/// Whether a timeout is as short as those of the templates, or wrong. A negative one that is small
/// enough is rounded up to none.
fn does_not_wait(timeout: Option<&str>) -> bool {
    let is_negative = |text: &str| text.parse::<f64>().is_ok_and(|wait| wait < -0.01);
    timeout.is_none_or(|text| text == "0.01" || text == "x" || is_negative(text))
}

#[cfg(test)]
mod tests;
