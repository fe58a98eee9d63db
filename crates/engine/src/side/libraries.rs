//! Libraries of functions: their text alone. What it registers, whoever runs it finds out.
//!
//! A snapshot has them as Redis writes them, by an opcode; they have no AUX fields.

use super::{Change, Part, Side};
use crate::digest::{self, Op};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use triomphe::Arc;

/// All of them, by name. Shared by snapshots until one changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Libraries {
    texts: Arc<BTreeMap<String, Arc<[u8]>>>,
    /// Bytes of their texts.
    bytes: u64,
}

impl Libraries {
    /// Name and text of each, in order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Arc<[u8]>)> {
        self.texts.iter().map(|(name, code)| (name.as_str(), code))
    }

    /// The text of one.
    pub(crate) fn code(&self, name: &str) -> Option<&Arc<[u8]>> {
        self.texts.get(name)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    /// Bytes of their texts.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// FUNCTION LOAD.
    pub(crate) fn load<'n>(&mut self, name: &'n str, code: &[u8]) -> Change<'n> {
        let texts = Arc::make_mut(&mut self.texts);
        let before = texts.insert(name.to_string(), Arc::from(code));
        self.bytes += code.len() as u64;
        self.bytes -= before.map_or(0, |before| before.len() as u64);
        Change { of: name.as_bytes(), now: digest::of(code) }
    }

    /// FUNCTION DELETE. `None`: it is not there.
    pub(crate) fn delete<'n>(&mut self, name: &'n str) -> Option<Change<'n>> {
        let gone = self.texts.get(name)?.len();
        Arc::make_mut(&mut self.texts).remove(name);
        self.bytes -= gone as u64;
        Some(Change { of: name.as_bytes(), now: 0 })
    }

    /// FUNCTION FLUSH.
    pub(crate) fn flush(&mut self) -> Option<Change<'static>> {
        if self.texts.is_empty() {
            return None;
        }
        *self = Self::default();
        Some(Change { of: &[], now: 0 })
    }
}

impl Part for Libraries {
    const OP: Op = Op::Library;
    /// None: a library stands in a file as Redis writes it, by an opcode of its own.
    const FIELD: &'static str = "quorate.library.";

    fn of(side: &mut Side) -> &mut Self {
        &mut side.libraries
    }

    fn fields(&self, _: &mut dyn FnMut(&str, &str)) {}

    fn restore(&mut self, _: &str, _: &str) -> Option<()> {
        None
    }
}
