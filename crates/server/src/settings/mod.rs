//! Settings: one table from which file, flags, environment, `CONFIG` and the documentation come.
//!
//! A row ([`Setting`]) says name, type, default, when it may change and whose it is. Values live in
//! [`Settings`] as canonical text; what hot code reads is kept beside them as plain numbers
//! ([`Tuned`]) and refreshed after every change. Settings of the whole cluster are not kept here:
//! they are replicated state, asked from the keyspace.

mod compatible;
mod document;
mod file;
mod invalid;
mod replicated;
mod table;
mod tuned;
mod value;

pub(crate) use document::{listing, page};
pub(crate) use file::{parse_file, quoted, rewrite_file};
pub(crate) use invalid::{Invalid, SettingsError};
pub(crate) use replicated::{kept, shown};
pub(crate) use tuned::{Allow, OutputLimit, Tuned, merge_output_limits};
pub(crate) use value::Kind;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// When a setting may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// At any time, with `CONFIG SET`.
    Anytime,
    /// Only from file, flags and environment.
    Start,
    /// As `Start`; listed by `CONFIG GET` only when asked for by its exact name.
    Hidden,
}

/// Whose setting it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// This process alone.
    Node,
    /// Replicated: `CONFIG SET` goes through the log and holds on every node.
    Cluster,
    /// Accepted and remembered so that tools written for Redis do not stop, without any effect.
    Compatible,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Redis's name where Redis has the setting.
    pub(crate) name: &'static str,
    /// A second name.
    pub(crate) alias: Option<&'static str>,
    /// What a value looks like.
    pub(crate) kind: Kind,
    /// Value when nothing is said, in canonical form.
    pub(crate) default: &'static str,
    /// When it may change.
    pub(crate) when: When,
    /// Whose it is.
    pub(crate) scope: Scope,
    /// One line for the documentation.
    pub(crate) doc: &'static str,
}

impl Setting {
    /// A setting of this node that may change at any time.
    const fn new(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Self {
        let (when, scope) = (When::Anytime, Scope::Node);
        Self { name, alias: None, kind, default, when, scope, doc }
    }

    const fn at_start(self) -> Self {
        Self { when: When::Start, ..self }
    }

    const fn hidden(self) -> Self {
        Self { when: When::Hidden, ..self }
    }

    const fn cluster(self) -> Self {
        Self { scope: Scope::Cluster, ..self }
    }

    const fn alias(self, alias: &'static str) -> Self {
        Self { alias: Some(alias), ..self }
    }
}

/// All rows.
pub(crate) fn all() -> impl Iterator<Item = &'static Setting> {
    table::SETTINGS.iter().chain(compatible::SETTINGS)
}

/// Finds a row by name or alias, in any case.
pub(crate) fn find(name: &str) -> Option<&'static Setting> {
    all().find(|row| {
        row.name.eq_ignore_ascii_case(name)
            || row.alias.is_some_and(|alias| alias.eq_ignore_ascii_case(name))
    })
}

/// The values of this process.
#[derive(Debug)]
pub(crate) struct Settings {
    values: Mutex<Values>,
    /// The file named on the command line, rewritten by `CONFIG REWRITE`.
    file: Option<std::path::PathBuf>,
    /// Of which some settings are a part.
    memory_bytes: u64,
}

#[derive(Debug)]
struct Values {
    /// By row name; only what differs from the default is present.
    set: BTreeMap<&'static str, String>,
    tuned: Arc<Tuned>,
}

impl Settings {
    /// Builds the settings from pairs in rising order of precedence (file, environment, flags).
    pub(crate) fn from_pairs(
        pairs: &[(String, String)],
        file: Option<std::path::PathBuf>,
    ) -> Result<Self, SettingsError> {
        let mut set = BTreeMap::new();
        for (name, value) in pairs {
            let row = find(name).ok_or_else(|| SettingsError::Unknown(name.clone()))?;
            let value = row.kind.canonical(value).map_err(|why| SettingsError::Invalid {
                name: name.clone(),
                value: value.clone(),
                why,
            })?;
            set.insert(row.name, value);
        }
        let memory_bytes = crate::process::memory_bytes();
        let tuned = Arc::new(Tuned::new(&|name| lookup(&set, name), memory_bytes));
        Ok(Self { values: Mutex::new(Values { set, tuned }), file, memory_bytes })
    }

    fn lock(&self) -> MutexGuard<'_, Values> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value in force on this node, in canonical form.
    pub(crate) fn get(&self, name: &str) -> String {
        lookup(&self.lock().set, name)
    }

    /// Whether the value was given, rather than left at its default.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.lock().set.contains_key(name)
    }

    /// What sessions read: take it once per batch.
    pub(crate) fn tuned(&self) -> Arc<Tuned> {
        Arc::clone(&self.lock().tuned)
    }

    /// Replaces values that [`Kind::canonical`] made, all at once; returns what they replaced.
    pub(crate) fn replace(
        &self,
        changes: &[(&'static Setting, String)],
    ) -> Vec<(&'static Setting, String)> {
        let mut values = self.lock();
        let mut old = Vec::with_capacity(changes.len());
        for (row, value) in changes {
            old.push((*row, lookup(&values.set, row.name)));
            values.set.insert(row.name, value.clone());
        }
        let tuned = Tuned::new(&|name| lookup(&values.set, name), self.memory_bytes);
        values.tuned = Arc::new(tuned);
        old
    }

    /// Takes no more clients than the system has room for.
    pub(crate) fn lower_maxclients(&self, most: usize) {
        if let Some(row) = find("maxclients") {
            self.replace(&[(row, most.to_string())]);
        }
    }

    /// Path of the file that `CONFIG REWRITE` rewrites.
    pub(crate) fn file(&self) -> Option<&std::path::Path> {
        self.file.as_deref()
    }

    /// Name and value of what differs from the defaults, for `CONFIG REWRITE`.
    pub(crate) fn given(&self) -> Vec<(&'static Setting, String)> {
        let values = self.lock();
        all().filter_map(|row| values.set.get(row.name).map(|value| (row, value.clone()))).collect()
    }
}

fn lookup(set: &BTreeMap<&'static str, String>, name: &str) -> String {
    match set.get(name) {
        Some(value) => value.clone(),
        None => find(name).map_or_else(String::new, |row| row.default.to_owned()),
    }
}

#[cfg(test)]
mod tests;
