//! What a command's syntax says about its arguments, as COMMAND DOCS tells it: redis-cli makes its
//! hints of that.
//!
//! The syntax stands in the command's row ([`Meta::syntax`]), written as Redis's documentation
//! writes it. Words in capitals are tokens, which stand for themselves; a token takes the
//! arguments behind it, up to the next token or option. `[…]` may be left out, of `<a | b>` and
//! `[a | b]` one is given, and `x [x …]` is one argument that may be repeated.
//!
//! [`Meta::syntax`]: quorate_engine::Meta::syntax

use super::bulk;
use quorate_engine::{Flags, Meta};
use quorate_resp::Reply;

/// One argument, or several that belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Argument {
    name: String,
    /// The word that stands in front of it, or that it is.
    token: Option<String>,
    optional: bool,
    /// It may be given again and again,
    multiple: bool,
    /// each time with its token.
    multiple_token: bool,
    shape: Shape,
    parts: Vec<Argument>,
}

/// What an argument is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Shape {
    /// A value.
    #[default]
    Value,
    /// A value: seconds, with a fraction or without.
    Seconds,
    /// Its token alone.
    Token,
    /// One of its parts.
    OneOf,
    /// All of its parts.
    Block,
}

/// The arguments of a command. How long one waits that may have to is in seconds.
pub(super) fn of(meta: &Meta) -> Vec<Argument> {
    let mut arguments = parse(meta.syntax);
    if meta.flags.has(Flags::BLOCKING) {
        for argument in arguments.iter_mut().filter(|argument| argument.name == "timeout") {
            argument.shape = Shape::Seconds;
        }
    }
    arguments
}

/// Reads a syntax.
fn parse(syntax: &str) -> Vec<Argument> {
    let mut spaced = String::with_capacity(syntax.len() * 2);
    for letter in syntax.chars() {
        match letter {
            '[' | ']' | '<' | '>' => spaced.extend([' ', letter, ' ']),
            _ => spaced.push(letter),
        }
    }
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (mut alternatives, _) = choices(&words);
    alternatives.pop().unwrap_or_default()
}

/// Reads alternatives up to the bracket that ends them; what stands behind that.
fn choices<'w>(mut words: &'w [&'w str]) -> (Vec<Vec<Argument>>, &'w [&'w str]) {
    let mut found = vec![Vec::new()];
    while let Some((&word, rest)) = words.split_first() {
        words = rest;
        match word {
            "]" | ">" => break,
            "|" => found.push(Vec::new()),
            _ => {
                let Some(sequence) = found.last_mut() else { break };
                words = item(word, rest, sequence);
            }
        }
    }
    (found, words)
}

/// Reads one word or one bracket, and adds it to a sequence.
fn item<'w>(word: &str, rest: &'w [&'w str], sequence: &mut Vec<Argument>) -> &'w [&'w str] {
    match word {
        "[" | "<" => {
            let (alternatives, behind) = choices(rest);
            let is_repetition = rest
                .get(..rest.len() - behind.len())
                .is_some_and(|inside| inside.iter().rev().nth(1) == Some(&"..."));
            match alternatives.as_slice() {
                [again] if is_repetition => repeat(sequence, again.len()),
                _ => {
                    let inner = one(alternatives);
                    let multiple = is_repetition || inner.multiple;
                    sequence.push(Argument { optional: word == "[", multiple, ..inner });
                }
            }
            behind
        }
        // The end of a repetition.
        "..." => rest,
        word if is_token(word) => token(word, rest, sequence),
        word => {
            sequence.push(Argument { name: word.to_owned(), ..Argument::default() });
            rest
        }
    }
}

/// A token with the arguments that it takes.
fn token<'w>(word: &str, mut rest: &'w [&'w str], sequence: &mut Vec<Argument>) -> &'w [&'w str] {
    let mut taken = Vec::new();
    while let Some((&next, behind)) = rest.split_first() {
        let is_repetition = next == "["
            && behind
                .iter()
                .position(|word| matches!(*word, "[" | "]" | "|"))
                .and_then(|at| behind.get(..at)?.last().copied())
                == Some("...");
        let ends = matches!(next, "]" | ">" | "|" | "...") || next == "[" && !is_repetition;
        // `GET pattern [GET pattern …]` is repeated whole.
        let is_own = is_repetition && behind.first() == Some(&word);
        if ends || is_own || is_token(next) {
            break;
        }
        rest = item(next, behind, &mut taken);
    }
    let token = Some(word.to_owned());
    let name = word.to_ascii_lowercase();
    sequence.push(match <[Argument; 1]>::try_from(taken) {
        Ok([only]) if only.token.is_none() => Argument { token, ..only },
        Ok([only]) => {
            Argument { name, token, shape: Shape::Block, parts: vec![only], ..Argument::default() }
        }
        Err(none) if none.is_empty() => {
            Argument { name, token, shape: Shape::Token, ..Argument::default() }
        }
        Err(parts) => Argument { name, token, shape: Shape::Block, parts, ..Argument::default() },
    });
    rest
}

/// Marks the last arguments of a sequence as repeated.
fn repeat(sequence: &mut Vec<Argument>, count: usize) {
    let parts = sequence.split_off(sequence.len().saturating_sub(count));
    let again = block(parts);
    let multiple_token = again.token.is_some();
    sequence.push(Argument { multiple: true, multiple_token, ..again });
}

/// One argument that is one of these.
fn one(mut alternatives: Vec<Vec<Argument>>) -> Argument {
    if alternatives.len() == 1 {
        return block(alternatives.pop().unwrap_or_default());
    }
    let parts: Vec<Argument> = alternatives.into_iter().map(block).collect();
    let name = parts.first().map(|part| part.name.clone()).unwrap_or_default();
    Argument { name, shape: Shape::OneOf, parts, ..Argument::default() }
}

/// One argument that is all of these.
fn block(parts: Vec<Argument>) -> Argument {
    match <[Argument; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) => {
            let name = parts.first().map(|part| part.name.clone()).unwrap_or_default();
            Argument { name, shape: Shape::Block, parts, ..Argument::default() }
        }
    }
}

/// Whether a word stands for itself.
fn is_token(word: &str) -> bool {
    let is_sign = matches!(word, "[" | "]" | "<" | ">" | "|" | "...");
    !is_sign && !word.bytes().any(|byte| byte.is_ascii_lowercase())
}

impl Argument {
    /// Redis's name of what it is, which names of arguments tell.
    fn kind(&self) -> &'static str {
        match self.shape {
            Shape::Seconds => return "double",
            Shape::Token => return "pure-token",
            Shape::OneOf => return "oneof",
            Shape::Block => return "block",
            Shape::Value => {}
        }
        match self.name.as_str() {
            "key" | "key1" | "key2" | "source" | "destination" | "newkey" | "destkey"
            | "sourcekey" | "dst" | "src" => "key",
            "pattern" => "pattern",
            "longitude" | "latitude" | "radius" | "width" | "height" | "score" | "weight" => {
                "double"
            }
            name if name.starts_with("unix-time") => "unix-time",
            "seconds" | "milliseconds" | "count" | "index" | "offset" | "numkeys" | "numfields"
            | "cursor" | "limit" | "db" | "destination-db" | "bit" | "increment" | "decrement"
            | "rank" | "num-matches" | "len" | "frequency" | "ttl" | "timeout" | "numids"
            | "min-idle-time" | "numreplicas" | "numlocal" | "port" | "slot" | "client-id" => {
                "integer"
            }
            _ => "string",
        }
    }

    /// As COMMAND DOCS shows it.
    fn shown(&self) -> Reply<'static> {
        let kind = self.kind();
        let mut facts = vec![(bulk("name"), bulk(self.name.clone())), (bulk("type"), bulk(kind))];
        if matches!(self.shape, Shape::Value | Shape::Seconds | Shape::Token) {
            facts.push((bulk("display_text"), bulk(self.name.clone())));
        }
        if let Some(token) = &self.token {
            facts.push((bulk("token"), bulk(token.clone())));
        }
        let flags = [
            (self.optional, "optional"),
            (self.multiple, "multiple"),
            (self.multiple_token, "multiple_token"),
        ];
        let flags: Vec<_> = flags
            .into_iter()
            .filter(|(is_set, _)| *is_set)
            .map(|(_, flag)| Reply::Simple(flag.into()))
            .collect();
        if !flags.is_empty() {
            facts.push((bulk("flags"), Reply::Set(flags)));
        }
        if !self.parts.is_empty() {
            facts.push((bulk("arguments"), shown(&self.parts)));
        }
        Reply::Map(facts)
    }
}

/// As COMMAND DOCS shows them.
pub(super) fn shown(arguments: &[Argument]) -> Reply<'static> {
    Reply::Array(arguments.iter().map(Argument::shown).collect())
}

#[cfg(test)]
mod tests;
