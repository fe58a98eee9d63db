//! What a file names of its own crate, read from its words rather than from a syntax tree.
//!
//! rustc knows this and does not tell; a parser would be a dependency for one rule. What is looked
//! for is small: `use` trees and paths in the code that begin at the crate, at the module itself,
//! at a parent, at a child, or at a module that a `use` brought in; and the names that the file
//! defines. Code behind `#[cfg(test)]` is left out.

use super::tokens::tokens;
use std::collections::{BTreeMap, BTreeSet};

/// A module's path inside its crate; the crate's root is empty.
pub(super) type Module = Vec<String>;

/// Something of a module: what is left of a path behind the deepest module that it names.
pub(super) type Place = (Module, Vec<String>);

/// What one file says.
#[derive(Default)]
pub(super) struct Paths {
    /// What it names of its crate.
    pub(super) named: BTreeSet<Place>,
    /// What a `use` gives a name here, for this file and for whoever looks into it.
    pub(super) bound: BTreeMap<String, Place>,
    /// Modules of which it takes everything.
    pub(super) globs: Vec<Module>,
    /// Names of the items that are written here.
    pub(super) defined: BTreeSet<String>,
    /// Modules that it declares for tests only.
    pub(super) test_modules: Vec<Module>,
}

impl Paths {
    /// Reads the file of `module`; `files` are the modules that have a file in this crate.
    pub(super) fn of(module: &[String], text: &str, files: &BTreeSet<Module>) -> Self {
        let all = tokens(text);
        let mut reader = Reader {
            file: module.to_vec(),
            inside: module.to_vec(),
            files,
            words: &[],
            paths: Self::default(),
        };
        let shipped = reader.without_tests(&all);
        reader.words = &shipped;
        reader.read(true);
        reader.read(false);
        reader.paths
    }
}

struct Reader<'a> {
    file: Module,
    /// Where the reading stands: in the file's module, or in one that is written inside of it.
    inside: Module,
    files: &'a BTreeSet<Module>,
    words: &'a [&'a str],
    paths: Paths,
}

impl Reader<'_> {
    /// The words but for items behind `#[cfg(test)]`.
    fn without_tests<'w>(&mut self, words: &[&'w str]) -> Vec<&'w str> {
        const GATE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
        let mut shipped = Vec::new();
        let mut at = 0;
        while let Some(rest) = words.get(at..).filter(|rest| !rest.is_empty()) {
            if rest.starts_with(&GATE) {
                let item = rest.get(GATE.len()..).unwrap_or_default();
                if let Some(name) = declared(item) {
                    self.paths.test_modules.push([&*self.file, &[name.to_owned()]].concat());
                }
                at += GATE.len() + item_length(item);
            } else {
                shipped.extend(rest.first());
                at += 1;
            }
        }
        shipped
    }

    /// Goes through the words once: for the `use` trees, which give names, or for all other paths.
    fn read(&mut self, uses: bool) {
        let mut depth = 0;
        let mut opened = Vec::new();
        let mut at = 0;
        while let Some(word) = self.words.get(at).copied() {
            match word {
                "use" => {
                    let from = at + 1;
                    at = self.end_of_use(from);
                    if uses {
                        let mut next = from;
                        self.tree(&[], &mut next, at);
                    }
                }
                "mod" if self.word(at + 2) == "{" => {
                    self.inside.push(self.word(at + 1).to_owned());
                    opened.push(depth);
                    depth += 1;
                    at += 2;
                }
                "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union" => {
                    self.paths.defined.insert(self.word(at + 1).to_owned());
                }
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    if opened.last() == Some(&depth) {
                        opened.pop();
                        self.inside.pop();
                    }
                }
                _ if !uses && self.begins_path(at) => {
                    let path = self.path(&mut at);
                    self.paths.named.extend(self.resolve(&path));
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn word(&self, at: usize) -> &str {
        self.words.get(at).copied().unwrap_or("")
    }

    fn end_of_use(&self, from: usize) -> usize {
        let rest = self.words.get(from..).unwrap_or_default();
        from + rest.iter().position(|word| *word == ";").unwrap_or(rest.len())
    }

    fn begins_path(&self, at: usize) -> bool {
        let before = at.checked_sub(1).map_or("", |before| self.word(before));
        // `pub(in crate::log)` says who may see it.
        let is_visibility = before == "in" && at > 1 && self.word(at - 2) == "(";
        before != "::" && self.word(at + 1) == "::" && is_name(self.word(at)) && !is_visibility
    }

    /// The names from here on, and `at` behind them.
    fn path(&self, at: &mut usize) -> Module {
        let mut path = vec![self.word(*at).to_owned()];
        *at += 1;
        while self.word(*at) == "::" && is_name(self.word(*at + 1)) {
            path.push(self.word(*at + 1).to_owned());
            *at += 2;
        }
        path
    }

    /// One `use` tree behind `front`, from `at` to a comma, a closing brace, or `end`.
    fn tree(&mut self, front: &[String], at: &mut usize, end: usize) {
        let mut path = front.to_vec();
        while *at < end {
            match self.word(*at) {
                "{" => {
                    *at += 1;
                    while *at < end && self.word(*at) != "}" {
                        self.tree(&path, at, end);
                    }
                    *at += 1;
                    return self.skip_comma(at);
                }
                "as" => {
                    let name = self.word(*at + 1).to_owned();
                    *at += 2;
                    self.used(&path, &name);
                    return self.skip_comma(at);
                }
                "," | "}" => break,
                "::" => {}
                word => path.push(word.to_owned()),
            }
            *at += 1;
        }
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let name = path.last().cloned().unwrap_or_default();
        self.used(&path, &name);
        self.skip_comma(at);
    }

    fn skip_comma(&self, at: &mut usize) {
        *at += usize::from(self.word(*at) == ",");
    }

    /// Notes a path that a `use` brings in as `name`; a module by itself counts where it is used.
    fn used(&mut self, path: &[String], name: &str) {
        let Some((module, rest)) = self.resolve(path) else { return };
        match rest.first().map(String::as_str) {
            Some("*") => self.paths.globs.push(module.clone()),
            _ => drop(self.paths.bound.insert(name.to_owned(), (module.clone(), rest.clone()))),
        }
        if !rest.is_empty() {
            self.paths.named.insert((module, rest));
        }
    }

    /// The deepest module of this crate that a path names, and what is left of the path behind it;
    /// `None` for a path that begins elsewhere.
    fn resolve(&self, path: &[String]) -> Option<Place> {
        let (first, rest) = path.split_first()?;
        let child = [&*self.inside, std::slice::from_ref(first)].concat();
        let mut rest = rest.to_vec();
        let mut module = match first.as_str() {
            "crate" => Module::new(),
            "self" => self.inside.clone(),
            "super" => self.inside.split_last()?.1.to_vec(),
            _ if self.files.contains(&child) => child,
            name => {
                let (module, front) = self.paths.bound.get(name)?.clone();
                rest.splice(0..0, front);
                module
            }
        };
        while rest.first().is_some_and(|next| next == "super") {
            module.pop();
            rest.remove(0);
        }
        Some(deepest(module, rest, self.files))
    }
}

/// Follows a path as far as modules have files.
pub(super) fn deepest(
    mut module: Module,
    mut rest: Vec<String>,
    files: &BTreeSet<Module>,
) -> Place {
    while let Some(next) = rest.first() {
        module.push(next.clone());
        if !files.contains(&module) {
            module.pop();
            break;
        }
        rest.remove(0);
    }
    // A module that is written inside of a file is a part of that file.
    while !files.contains(&module) && !module.is_empty() {
        rest.splice(0..0, module.pop());
    }
    (module, rest)
}

fn is_name(word: &str) -> bool {
    word.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}

/// The name, if the item is `mod name;`, with attributes and visibility before it.
fn declared<'w>(item: &[&'w str]) -> Option<&'w str> {
    let end = item.iter().position(|word| matches!(*word, ";" | "{"))?;
    let item = item.get(..=end)?;
    let at = item.iter().position(|word| *word == "mod")?;
    match item.get(at + 1..)? {
        [name, ";"] => Some(name),
        _ => None,
    }
}

/// Words up to the end of an item, a statement or a field.
fn item_length(item: &[&str]) -> usize {
    const ITEMS: [&str; 12] = [
        "mod",
        "use",
        "fn",
        "struct",
        "enum",
        "impl",
        "trait",
        "const",
        "static",
        "type",
        "async",
        "macro_rules",
    ];
    let mut depth = 0_usize;
    let mut is_item = false;
    for (at, word) in item.iter().enumerate() {
        is_item |= depth == 0 && ITEMS.contains(word);
        match *word {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return at,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            "," if depth == 0 && !is_item => return at + 1,
            _ => {}
        }
    }
    item.len()
}
