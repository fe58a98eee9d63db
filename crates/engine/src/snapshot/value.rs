//! Values by their RDB type: the one place that knows how each is encoded.
//!
//! The snapshot's reader and RESTORE both come here. A short value is taken whole; a long one is
//! begun and then goes on piece by piece ([`Unfinished`]), straight into the blocks in which it
//! will live. So a value of a gigabyte needs no second gigabyte, and no piece is looked at twice.

use crate::keyspace::{Head, PACKED_MAX, Record};
use crate::rdb::SnapshotFault;
use crate::rdb::code::kind;
use crate::rdb::collection::{self, Collection};
use crate::rdb::input::{Bytes, Input, Result, Stop, Text};
use crate::types::chunks::Chunks;
use crate::types::stream::Stream;
use crate::types::{Form, Rules};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A value that was read.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// A string in one piece, at most [`PACKED_MAX`] long.
    Str(Bytes<'a>),
    /// A longer one.
    Large(Chunks),
    /// Anything else.
    Collection(Collection),
}

/// A value whose beginning was read.
#[derive(Debug)]
pub(super) enum Begun<'a> {
    /// It was short.
    Whole(Value<'a>),
    /// It goes on.
    Unfinished(Unfinished),
}

/// A value that is being read.
#[derive(Debug)]
pub(super) enum Unfinished {
    /// A string over [`PACKED_MAX`], and how many bytes are missing.
    Str(Chunks, u64),
    /// A collection, its RDB type, and how many items are missing.
    Collection(Collection, u8, u64),
}

impl<'a> Value<'a> {
    /// Begins to read a value of this type. Without enough of it nothing has happened. The fault of
    /// a type that is not stored lacks the key, which only the caller knows. `kind` is a type
    /// ([`is_type`]).
    pub(super) fn begin(of: u8, input: &mut Input<'a>, rules: Rules) -> Result<Begun<'a>> {
        if of != kind::STRING {
            return Self::begin_collection(of, input, rules);
        }
        let text = match input.length_or_encoding()? {
            Ok(length) if length > PACKED_MAX as u64 => {
                return Ok(Begun::Unfinished(Unfinished::Str(Chunks::default(), length)));
            }
            Ok(length) => Text::Plain(input.take(length)?),
            Err(encoding) => input.encoded(encoding)?,
        };
        Ok(Begun::Whole(match text {
            Text::Packed(_, length) if length > PACKED_MAX as u64 => Value::Large(text.chunks()?),
            text => Value::Str(text.bytes()?),
        }))
    }

    fn begin_collection(of: u8, input: &mut Input<'a>, rules: Rules) -> Result<Begun<'a>> {
        let Some((collection, items)) = collection::begin(of, input, rules)? else {
            return Err(Stop::Fault(SnapshotFault::Value(Vec::new(), not_stored(of, input)?)));
        };
        let start = input.at();
        let mut value = Unfinished::Collection(collection, of, items);
        match value.go_on(input) {
            Ok(Some(value)) => Ok(Begun::Whole(value)),
            Ok(None) => Ok(Begun::Unfinished(value)),
            Err(Stop::Need(_)) => {
                input.rewind(start);
                Ok(Begun::Unfinished(value))
            }
            Err(stop) => Err(stop),
        }
    }

    /// The value under its key, with what a snapshot's fields or the clock add.
    pub(super) fn record(self, key: &[u8], revision: u64, deadline: Option<u64>) -> Record {
        let head = |form| Head { form, revision, deadline };
        match self {
            Self::Str(bytes) => Record::string(head(Form::of_string(&bytes)), key, &bytes),
            Self::Large(chunks) => Record::large(head(Form::Raw), key, chunks),
            Self::Collection(collection) => of_collection(collection, head, key),
        }
    }
}

/// The record of a collection.
fn of_collection(collection: Collection, head: impl Fn(Form) -> Head, key: &[u8]) -> Record {
    match collection {
        Collection::List(list) => Record::of_open(head(list.form), key, list),
        Collection::Zset(zset) => Record::of_open(head(zset.form), key, zset),
        Collection::Set(set) => Record::of_open(head(set.open.form), key, set.open),
        Collection::Hash(hash) => Record::of_open(head(hash.open.form), key, hash.open),
        Collection::Stream(stream) => {
            let mut open = collection::begun::<Stream>(Rules::default());
            open.large = Some(stream.finish());
            Record::of_open(head(open.form), key, open)
        }
    }
}

impl Unfinished {
    /// Takes what there is; the value once it is whole.
    pub(super) fn go_on(&mut self, input: &mut Input<'_>) -> Result<Option<Value<'static>>> {
        match self {
            Self::Str(chunks, left) => {
                let some = input.some(*left)?;
                chunks.append(some);
                *left -= some.len() as u64;
                Ok((*left == 0).then(|| Value::Large(core::mem::take(chunks))))
            }
            Self::Collection(collection, of, left) => {
                let begin = input.at();
                let mut start = begin;
                while *left > 0 {
                    match collection.item(*of, input) {
                        Ok(true) => {}
                        Ok(false) => *left -= 1,
                        Err(Stop::Need(_)) if start > begin => {
                            input.rewind(start);
                            return Ok(None);
                        }
                        Err(stop) => return Err(stop),
                    }
                    start = input.at();
                }
                collection.take().finish(*of, input).map(Value::Collection).map(Some)
            }
        }
    }
}

/// Whether a byte stands for a type of value, stored here or not.
pub(super) fn is_type(kind: u8) -> bool {
    matches!(kind, kind::STRING..=kind::MODULE_2 | 9..=25)
}

/// Names a value that we do not store.
#[cold]
fn not_stored(kind: u8, input: &mut Input<'_>) -> Result<String> {
    if kind == kind::MODULE_2 {
        return Ok(module_value(input.length()?));
    }
    Ok("a value of a module in the form of a pre-release, which cannot be skipped".into())
}

/// Names a value of a module.
pub(super) fn module_value(id: u64) -> String {
    format!("a value of the module type \"{}\", and modules are not supported", module_name(id))
}

/// The nine letters of a module's type, six bits each, above ten bits of version.
pub(super) fn module_name(id: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letter = |place: u32| LETTERS.get((id >> (10 + 6 * place)) as usize & 63).copied();
    let bytes: Vec<u8> = (0..9).rev().filter_map(letter).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
