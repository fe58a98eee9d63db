//! Every command by its name: the engine's rows and the server's, merged.
//!
//! Built once at the start and never changed. A session finds a command with one probe of a small
//! open table; COMMAND, statistics and HELP walk the same entries. The engine's rows keep their
//! numbers, and the server's follow. Internal forms of the log have no names here.

use quorate_engine::{Flags, Keys, Meta, Row, Spec, cmd, least};
use quorate_resp::Args;

/// Who runs a command.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// The engine: under a shared lock, or through the log.
    Data(&'static Spec),
    /// The server: the number of its row.
    Server(u16),
    /// Nobody: it has only subcommands.
    Parent,
}

/// One command or subcommand.
pub(crate) struct Entry {
    /// Position in [`Registry::entries`], and for data commands the number of their row; statistics
    /// are kept under it.
    pub(crate) id: u16,
    /// Facts.
    pub(crate) meta: Meta,
    /// Who runs it.
    pub(crate) target: Target,
    /// Lower-case name, `parent|sub` for a subcommand.
    pub(crate) name: String,
    /// Subcommands.
    pub(crate) subs: Vec<u16>,
}

impl Entry {
    /// Whether `count` arguments, the name included, are a number this command takes.
    pub(crate) fn takes(&self, count: usize) -> bool {
        self.meta.arity.fits(count)
    }

    /// Whether it is a data command that may change the keyspace; `None`: it is none.
    pub(crate) fn is_write(&self) -> Option<bool> {
        match self.target {
            Target::Data(spec) => Some(spec.is_write()),
            Target::Server(_) | Target::Parent => None,
        }
    }

    /// The same as COMMAND tells it: what a script does, nobody knows before.
    pub(crate) fn is_called_write(&self) -> Option<bool> {
        match self.target {
            _ if self.meta.flags.has(Flags::NEUTRAL) => None,
            Target::Data(spec) if spec.only_reads() => Some(false),
            _ => self.is_write(),
        }
    }
}

/// All commands.
pub(crate) struct Registry {
    entries: Vec<Entry>,
    /// Open addressing; `EMPTY` or a position in `entries`. Its length is a power of two, at least
    /// twice the names.
    slots: Vec<u16>,
}

const EMPTY: u16 = u16::MAX;

impl Registry {
    /// Merges the engine's rows and the server's, of which it is told the facts and whether they
    /// are only parents. A name stands on one side only, but for parents: subcommands of one may be
    /// the engine's and the server's (MEMORY).
    pub(crate) fn new(of_server: impl Iterator<Item = (Meta, bool)>) -> Self {
        let mut registry = Self { entries: Vec::new(), slots: vec![EMPTY; 2048] };
        for spec in cmd::all() {
            registry.add(spec.meta, Target::Data(spec));
        }
        for ((meta, is_parent), number) in of_server.zip(0..) {
            registry.add(meta, if is_parent { Target::Parent } else { Target::Server(number) });
        }
        // HELP shows what the server adds first.
        let (data, all) = (cmd::all().len() as u16, registry.entries.len() as u16);
        for id in (data..all).chain(0..data) {
            registry.attach(id);
        }
        registry
    }

    /// Adds a row.
    fn add(&mut self, meta: Meta, target: Target) -> u16 {
        let id = self.entries.len() as u16;
        let name = meta.name.to_ascii_lowercase();
        if !meta.flags.has(Flags::INTERNAL) {
            let mask = self.slots.len() - 1;
            let mut at = hash(name.as_bytes()) & mask;
            while self.slots.get(at).is_some_and(|slot| *slot != EMPTY) {
                at = (at + 1) & mask;
            }
            if let Some(slot) = self.slots.get_mut(at) {
                *slot = id;
            }
        }
        self.entries.push(Entry { id, meta, target, name, subs: Vec::new() });
        id
    }

    /// Gives a subcommand to its parent, which is made if it has no row of its own.
    fn attach(&mut self, id: u16) {
        let Some((name, group)) =
            self.get(id).and_then(|sub| Some((sub.meta.parent()?, sub.meta.group)))
        else {
            return;
        };
        let known = self.find(name.as_bytes()).map(|parent| parent.id);
        let parent = known.unwrap_or_else(|| {
            let row = Row::new(name, "", ())
                .facts(least(2), Keys::None, Flags::NONE)
                .doc("2.0.0", "Is a container of subcommands.")
                .group(group);
            self.add(row.meta, Target::Parent)
        });
        if let Some(parent) = self.entries.get_mut(usize::from(parent)) {
            parent.subs.push(id);
        }
    }

    /// The command of this name, in any case.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&Entry> {
        let mask = self.slots.len() - 1;
        let mut at = hash(name) & mask;
        loop {
            let entry = self.entries.get(usize::from(*self.slots.get(at)?))?;
            if entry.name.as_bytes().eq_ignore_ascii_case(name) {
                return Some(entry);
            }
            at = (at + 1) & mask;
        }
    }

    /// The command meant by these arguments: the subcommand if there is one of that name, else the
    /// command.
    pub(crate) fn resolve(&self, args: Args<'_>) -> Option<&Entry> {
        let name = args.at(0);
        let entry = self.find(name)?;
        if entry.subs.is_empty() {
            // A subcommand's entry is not a command's name: `OBJECT|HELP` as one word is unknown.
            return (!entry.meta.is_sub()).then_some(entry);
        }
        let sub = args.get(1).and_then(|name| self.find_sub(entry, name));
        Some(sub.unwrap_or(entry))
    }

    /// The same; tried first is the command that came before, which pipelines repeat.
    pub(crate) fn resolve_like<'a>(
        &'a self,
        last: Option<&'a Entry>,
        args: Args<'_>,
    ) -> Option<&'a Entry> {
        let is_plain = |entry: &&Entry| entry.meta.is_plainly(args) && entry.subs.is_empty();
        last.filter(is_plain).or_else(|| self.resolve(args))
    }

    /// The subcommand of `parent` called `name`.
    pub(crate) fn find_sub(&self, parent: &Entry, name: &[u8]) -> Option<&Entry> {
        let behind = parent.name.len() + 1;
        parent.subs.iter().filter_map(|id| self.get(*id)).find(|entry| {
            entry.name.as_bytes().get(behind..).is_some_and(|sub| sub.eq_ignore_ascii_case(name))
        })
    }

    /// The entry with this id.
    pub(crate) fn get(&self, id: u16) -> Option<&Entry> {
        self.entries.get(usize::from(id))
    }

    /// How many ids there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// All entries, subcommands included.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| !entry.meta.flags.has(Flags::INTERNAL))
    }

    /// Commands without their subcommands.
    pub(crate) fn commands(&self) -> impl Iterator<Item = &Entry> {
        self.entries().filter(|entry| !entry.meta.is_sub())
    }
}

/// FNV-1a over the letters in lower case.
fn hash(name: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    for byte in name {
        hash = (hash ^ u32::from(byte | 0x20)).wrapping_mul(0x0100_0193);
    }
    (hash ^ (hash >> 15)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case_and_is_unique() {
        let registry = crate::command::registry();
        for entry in registry.entries() {
            let upper = entry.name.to_ascii_uppercase();
            assert_eq!(registry.find(upper.as_bytes()).map(|found| found.id), Some(entry.id));
            assert_eq!(entry.meta.name, upper);
            assert!(entry.meta.summary.ends_with('.'), "{upper}: the summary is a sentence");
            if let Target::Data(spec) = entry.target {
                assert_eq!(entry.id, spec.meta.number, "{upper}");
            }
        }
        assert!(registry.find(b"NOSUCH").is_none());
        assert!(registry.find(b"").is_none());
        assert!(registry.find(b"QUORATE.CONFIG").is_none());
    }
}
