//! Collections: what lies at a key that is not a string.
//!
//! Each has a small form, which is packed into the key's record ([`pack`]), and a large one, a
//! [`tree`] of packed leaves. Which of them it is follows Redis's thresholds and is state: nothing
//! is decided again when a value is loaded. Reading goes through a [`View`], changing through
//! [`Open`], which `keyspace::change` hands out; a type's file adds to both what the type can do.
//! All types meet in [`value`] alone.

pub(crate) mod chunks;
pub(crate) mod content;
pub(crate) mod gapped;
pub(crate) mod hash;
pub(crate) mod intset;
pub(crate) mod list;
pub(crate) mod members;
pub(crate) mod pack;
pub(crate) mod pick;
pub(crate) mod set;
pub(crate) mod spread;
pub(crate) mod stream;
pub(crate) mod tree;
pub(crate) mod value;
pub(crate) mod zset;

use crate::digest::Digest;
use crate::side::settings::Limits;
use pack::Pack;

/// How a value lies, as far as its record says: its type, and which of its small forms. A large
/// value has the first form of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A string that is the text of a number.
    Int,
    /// A short string.
    Embstr,
    /// Any other string.
    Raw,
    /// A list.
    List,
    /// A sorted set.
    Zset,
    /// A set.
    Set,
    /// A small set of numbers.
    Intset,
    /// A hash.
    Hash,
    /// A stream.
    Stream,
    /// A small hash with deadlines of fields.
    TimedHash,
}

impl Form {
    /// Every form, each at the position of its number in a record.
    const ALL: [Self; 10] = [
        Self::Int,
        Self::Embstr,
        Self::Raw,
        Self::List,
        Self::Zset,
        Self::Set,
        Self::Intset,
        Self::Hash,
        Self::Stream,
        Self::TimedHash,
    ];

    /// Its number in a record.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// The form of this number.
    pub(crate) fn of(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Raw)
    }

    /// What Redis makes of a string that is set: `int` for a canonical signed 64-bit number,
    /// `embstr` up to 44 bytes.
    pub(crate) fn of_string(value: &[u8]) -> Self {
        const EMBSTR_MAX: usize = 44;
        match value {
            _ if is_int(value) => Self::Int,
            short if short.len() <= EMBSTR_MAX => Self::Embstr,
            _ => Self::Raw,
        }
    }

    /// Whether it is a string's.
    pub(crate) fn is_string(self) -> bool {
        matches!(self, Self::Int | Self::Embstr | Self::Raw)
    }

    /// What `TYPE` calls it.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Int | Self::Embstr | Self::Raw => "string",
            Self::List => "list",
            Self::Zset => "zset",
            Self::Set | Self::Intset => "set",
            Self::Hash | Self::TimedHash => "hash",
            Self::Stream => "stream",
        }
    }

    /// What `OBJECT ENCODING` calls it.
    pub(crate) fn encoding(self, is_large: bool) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Embstr => "embstr",
            Self::Raw => "raw",
            Self::List if is_large => "quicklist",
            Self::Zset if is_large => "skiplist",
            Self::Set | Self::Hash if is_large => "hashtable",
            Self::List | Self::Zset | Self::Set | Self::Hash => "listpack",
            Self::TimedHash => "listpackex",
            Self::Intset => "intset",
            Self::Stream => "stream",
        }
    }
}

/// Whether the bytes are exactly what printing some `i64` gives.
fn is_int(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    match digits {
        [b'0'] => digits.len() == value.len(),
        [b'1'..=b'9', rest @ ..] if rest.len() < 19 && rest.iter().all(u8::is_ascii_digit) => {
            // Up to 18 digits always fit; 19 are compared as text, because they have the same
            // length.
            let max: &[u8] = if digits.len() == value.len() {
                b"9223372036854775807"
            } else {
                b"9223372036854775808"
            };
            digits.len() < 19 || digits <= max
        }
        _ => false,
    }
}

/// A type of collection, by its large form.
pub(crate) trait Kind: Sized + Default {
    /// The form of an empty value of the type.
    const FORM: Form;

    /// Whether a form is one of this type.
    fn is(form: Form) -> bool {
        form == Self::FORM
    }

    /// Elements.
    fn is_empty(&self) -> bool;

    /// Makes a packed value a large one, as it is.
    fn enlarge(open: &mut Open<Self>);
}

/// A collection for reading.
#[derive(Debug)]
pub(crate) struct View<'a, T> {
    /// Its form.
    pub(crate) form: Form,
    /// The packed value ([`pack::parts`]), unless it is large.
    pub(crate) packed: &'a [u8],
    /// The large form.
    pub(crate) large: Option<&'a T>,
    /// Fields of a hash whose deadlines are before this are not there. 0: all are.
    pub(crate) now_ms: u64,
}

impl<T> Clone for View<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for View<'_, T> {}

/// A collection open for change.
#[derive(Debug)]
pub(crate) struct Open<T> {
    /// Its form. A type with several small ones changes it.
    pub(crate) form: Form,
    /// The key's record with the packed value; without a value once there is a large one.
    pub(crate) pack: Pack,
    /// The large form.
    pub(crate) large: Option<T>,
    /// Where small ends, and how elements are ordered.
    pub(crate) rules: Rules,
    /// What was changed, for the keyspace's digest. Every change folds in what it did and to what;
    /// if nothing is, nothing has changed.
    changes: Digest,
    changed: bool,
}

impl<T: Kind> Open<T> {
    /// Opens a value.
    pub(crate) fn new(form: Form, pack: Pack, large: Option<T>, rules: Rules) -> Self {
        Self { form, pack, large, rules, changes: Digest(0), changed: false }
    }

    /// An empty one without a key, to be filled and put somewhere.
    pub(crate) fn aside(rules: Rules) -> Self {
        Self::new(T::FORM, Pack::default(), None, rules)
    }

    /// Whether it has no elements: then its key goes.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.large {
            Some(large) => large.is_empty(),
            None => self.pack.value().is_empty() || self.pack.row().is_empty(),
        }
    }

    /// The same for reading.
    pub(crate) fn view(&self) -> View<'_, T> {
        let now_ms = self.rules.now_ms;
        View { form: self.form, packed: self.pack.value(), large: self.large.as_ref(), now_ms }
    }

    /// Notes a change: `what` tells operations of a type apart.
    pub(crate) fn note(&mut self, what: u64, element: &[u8]) {
        self.changes.word(what);
        self.changes.bytes(element);
        self.changed = true;
    }

    /// Everything that was noted; `None` if nothing has changed.
    pub(crate) fn noted(&self) -> Option<u64> {
        self.changed.then_some(self.changes.0)
    }
}

/// What a collection must know of the state when it is changed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    /// Where small ends.
    pub(crate) limits: Limits,
    /// Key of the hash that orders members of sets and fields of hashes, as it orders keys.
    pub(crate) hash_key: [u64; 2],
    /// The value comes as it was written: which form it has is not decided again.
    pub(crate) as_written: bool,
    /// Cluster time, by which fields of hashes end. 0: none does.
    pub(crate) now_ms: u64,
}

impl Rules {
    /// With limits that nothing exceeds but a packed value's own: for a value that was packed when
    /// it was written.
    pub(crate) fn packed(self) -> Self {
        let any = (u64::MAX, u64::MAX);
        let limits = Limits {
            list_size: -5,
            hash: any,
            set_ints: u64::MAX,
            set: any,
            zset: any,
            ..self.limits
        };
        Self { limits, as_written: true, ..self }
    }
}

/// No packed value is longer, whatever the settings say: what changes in place must be short.
pub(crate) const PACKED_BYTES_MAX: usize = 64 << 10;
