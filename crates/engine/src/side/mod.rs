//! Side state: what is replicated and is not a key.
//!
//! Today the settings, the feature level, scripts and libraries of functions; users, locks and
//! members belong here too. Each part is a file with a type that implements [`Part`]: its AUX
//! fields in snapshots, and what its changes are called in the digest. Only applying an entry
//! changes a part ([`Keyspace::change_side`](crate::Keyspace::change_side)), so that all replicas
//! hold the same.
//!
//! A new part costs five edits:
//! 1. `side/<part>.rs`: the type with its `impl Part`;
//! 2. below: a field of [`Side`], and a line in both of its functions;
//! 3. `digest.rs`: a number in `Op`, never used before;
//! 4. `cmd/`: the row of a command that changes it. This command is its form in the log. One that
//!    only the server makes for itself stands in `cmd/internal.rs`;
//! 5. `docs/formats.md`: the AUX field and the command. Older builds refuse both.

pub(crate) mod level;
pub(crate) mod libraries;
pub(crate) mod scripts;
pub(crate) mod settings;

use crate::Shebang;
use crate::digest::Op;
use level::Level;
use libraries::Libraries;
use scripts::Scripts;
use settings::Settings;

/// All of it. Cloned at each snapshot: a part that may be large shares what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Side {
    pub(crate) level: Level,
    pub(crate) settings: Settings,
    pub(crate) scripts: Scripts,
    pub(crate) libraries: Libraries,
}

impl Side {
    /// Bytes of what may be large.
    pub(crate) fn bytes(&self) -> u64 {
        self.scripts.bytes() + self.libraries.bytes()
    }

    /// Takes the text of a library from a file; `None`: it is none, or there are two of its name.
    pub(crate) fn restore_library(&mut self, code: &[u8]) -> Option<()> {
        let name = Shebang::of_library(code).ok()?.name?;
        self.libraries.code(&name).is_none().then(|| {
            let _ = self.libraries.load(&name, code);
        })
    }

    /// Hands out the AUX fields of all parts: names and values, printable ASCII. Their order is
    /// part of what makes equal states equal files.
    pub(crate) fn fields(&self, put: &mut dyn FnMut(&str, &str)) {
        self.level.fields(put);
        self.settings.fields(put);
        self.scripts.fields(put);
    }

    /// Takes an AUX field. `None`: it belongs to no part, or no part writes such a value.
    pub(crate) fn restore(&mut self, name: &str, value: &str) -> Option<()> {
        take(&mut self.level, name, value)
            .or_else(|| take(&mut self.settings, name, value))
            .or_else(|| take(&mut self.scripts, name, value))
    }
}

/// Gives a part its field, if it is one of its fields.
fn take<P: Part>(part: &mut P, name: &str, value: &str) -> Option<()> {
    part.restore(name.strip_prefix(P::FIELD)?, value)
}

/// One kind of side state.
pub(crate) trait Part {
    /// What a change of it is called in the rolling digest.
    const OP: Op;

    /// How the names of its AUX fields begin; the whole name, if there is one field.
    const FIELD: &'static str;

    /// Where it lies.
    fn of(side: &mut Side) -> &mut Self;

    /// Hands out its AUX fields, names (all of them) and values.
    fn fields(&self, put: &mut dyn FnMut(&str, &str));

    /// Takes an AUX field: what its name has behind [`Part::FIELD`], and its value. `None`: we do
    /// not write such a field.
    fn restore(&mut self, name: &str, value: &str) -> Option<()>;
}

/// What the digest learns of a change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    /// Of what within the part; empty if it is one thing.
    pub(crate) of: &'a [u8],
    /// Stands for what it is now.
    pub(crate) now: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_back_and_nothing_else_is() {
        let (mut side, mut read) = (Side::default(), Side::default());
        side.level.raise(2);
        for (name, value) in [("maxmemory", "77"), ("notify-keyspace-events", "KEA")] {
            side.settings.set(name, value).unwrap();
        }
        side.fields(&mut |name, value| {
            assert!(name.starts_with(crate::rdb::field::PREFIX), "{name}");
            assert_eq!(read.restore(name, value), Some(()), "{name}");
        });
        assert_eq!(read, side);
        for (name, value) in [
            ("quorate.level", "02"),
            // Of a version to come.
            ("quorate.level", "3"),
            ("quorate.levels", "7"),
            ("quorate.setting.", "7"),
            ("quorate.setting.maxmemory", "-1"),
            ("quorate.digest", "7"),
        ] {
            assert_eq!(read.restore(name, value), None, "{name} {value}");
        }
    }
}
