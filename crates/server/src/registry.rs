//! Every command by its name: the engine's rows and the server's, merged.
//!
//! Built once at the start and never changed. A session finds a command with one probe of a small
//! open table; COMMAND, statistics and HELP walk the same entries. Names that begin with `QUORATE.`
//! are internal forms of the log and stay out.

use crate::command::{Row, Run, SERVER_FAMILIES};
use quorate_engine::{Arity, Flags, Group, Keys, Meta, RunFn, cmd};
use quorate_resp::Args;

/// Who runs a command.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// The engine, under a shared lock.
    Read(quorate_engine::ReadFn),
    /// The engine, through the log.
    Write,
    /// The server.
    Server(&'static Row),
    /// Nobody: it has only subcommands.
    Parent,
}

/// One command or subcommand.
pub(crate) struct Entry {
    /// Position in [`Registry::entries`]; statistics are kept under it.
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
}

/// All commands.
pub(crate) struct Registry {
    entries: Vec<Entry>,
    /// Open addressing; `EMPTY` or a position in `entries`. Its length is a power of two, at least
    /// twice the names.
    slots: Vec<u16>,
    /// SORT where it stores nothing: then it is a read. Everything else is as in its entry.
    reading_sort: Option<Entry>,
}

const EMPTY: u16 = u16::MAX;

impl Registry {
    /// Merges all rows. Where both sides have a name, the server's row wins (it may hand parts on
    /// to the engine).
    pub(crate) fn new() -> Self {
        let mut registry =
            Self { entries: Vec::new(), slots: vec![EMPTY; 2048], reading_sort: None };
        for row in SERVER_FAMILIES.iter().copied().flatten() {
            let target =
                if matches!(row.run, Run::Parent) { Target::Parent } else { Target::Server(row) };
            registry.add(row.meta, target);
            for sub in row.subs {
                registry.add(sub.meta, Target::Server(sub));
            }
        }
        for spec in cmd::all() {
            if spec.meta.flags.has(Flags::INTERNAL) {
                continue;
            }
            let target = match spec.run {
                RunFn::Read(run) => Target::Read(run),
                RunFn::Write(_) => Target::Write,
            };
            registry.add(spec.meta, target);
        }
        registry.reading_sort = registry.find(b"SORT").map(|sort| Entry {
            id: sort.id,
            meta: sort.meta,
            target: Target::Read(cmd::reading_sort()),
            name: sort.name.clone(),
            subs: Vec::new(),
        });
        registry
    }

    /// Adds a row, and its parent first if it is a subcommand without one.
    fn add(&mut self, meta: Meta, target: Target) -> u16 {
        let parent = meta.name.split_once('|').map(|(parent, _)| parent);
        let parent = parent.map(|name| match self.find(name.as_bytes()) {
            Some(entry) => entry.id,
            None => self.add(parent_of(name, meta.group), Target::Parent),
        });
        let id = self.entries.len() as u16;
        let name = meta.name.to_ascii_lowercase();
        let mask = self.slots.len() - 1;
        let mut at = hash(name.as_bytes()) & mask;
        while self.slots.get(at).is_some_and(|slot| *slot != EMPTY) {
            at = (at + 1) & mask;
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = id;
        }
        self.entries.push(Entry { id, meta, target, name, subs: Vec::new() });
        if let Some(entry) = parent.and_then(|parent| self.entries.get_mut(usize::from(parent))) {
            entry.subs.push(id);
        }
        id
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
        if entry.meta.keys == Keys::Sort && cmd::resolve(args).is_some_and(|spec| !spec.is_write())
        {
            return self.reading_sort.as_ref().filter(|sort| sort.id == entry.id).or(Some(entry));
        }
        if entry.subs.is_empty() {
            // A subcommand's entry is not a command's name: `OBJECT|HELP` as one word is unknown.
            return (!name.contains(&b'|')).then_some(entry);
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
        let is_plain = |entry: &&Entry| {
            entry.meta.name.as_bytes() == args.at(0)
                && entry.subs.is_empty()
                && entry.meta.keys != Keys::Sort
                && !entry.name.contains('|')
        };
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

    /// All entries, subcommands included.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Commands without their subcommands.
    pub(crate) fn commands(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| !entry.name.contains('|'))
    }
}

/// Facts of a parent that has no row of its own.
const fn parent_of(name: &'static str, group: Group) -> Meta {
    Meta {
        name,
        arity: Arity::AtLeast(2),
        keys: Keys::None,
        group,
        flags: Flags::NONE,
        summary: "Is a container of subcommands.",
        since: "2.0.0",
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
        let registry = Registry::new();
        for entry in registry.entries() {
            let upper = entry.name.to_ascii_uppercase();
            assert_eq!(registry.find(upper.as_bytes()).map(|found| found.id), Some(entry.id));
            assert_eq!(entry.meta.name, upper);
            assert!(entry.meta.summary.ends_with('.'), "{upper}: the summary is a sentence");
        }
        assert!(registry.find(b"NOSUCH").is_none());
        assert!(registry.find(b"").is_none());
        assert!(registry.find(b"QUORATE.CONFIG").is_none());
    }
}
