//! Collections in RDB: what is the same for all of them. A type's own forms are in its file below.
//!
//! A collection is read item by item straight into the structure in which it will live; an item is
//! an element, a pair, or one packed row of elements. Nothing is allocated by a declared count, and
//! a value of any size needs no more than one item beside itself.

mod gather;
mod hash;
mod list;
mod rows;
mod set;
mod stream;
mod zset;

pub(crate) use hash::{write_deadlines, write_timed, write_untimed};
pub(crate) use stream::{is_active_odd, put_active, take_active};

use super::code::kind;
use super::encode::put_string;
use super::input::{Input, Result, Stop};
use crate::types::list::ListTree;
use crate::types::pack::{self, Pack};
use crate::types::value::Value as LargeValue;
use crate::types::zset::ZsetTree;
use crate::types::{Form, Kind, Open, Rules};
use alloc::boxed::Box;
use alloc::vec::Vec;
use gather::Gather;

/// A collection that was read, or is being read. Its record has no head yet.
#[derive(Debug)]
pub(crate) enum Collection {
    /// A list.
    List(Open<ListTree>),
    /// A sorted set.
    Zset(Open<ZsetTree>),
    /// A set.
    Set(Box<set::Reading>),
    /// A hash.
    Hash(Box<hash::Reading>),
    /// A stream.
    Stream(Box<stream::Reading>),
}

/// An empty one.
pub(crate) fn begun<T: Kind>(rules: Rules) -> Open<T> {
    Open::new(T::FORM, Pack::default(), None, rules)
}

/// Begins a collection of an RDB type: itself and how many items follow. One without elements is
/// [`Stop::Empty`]: Redis writes none, refuses them in payloads, and skips them in files.
/// `None`: no type of a
/// collection that is stored here. One item is what a packed form is as a whole.
pub(crate) fn begin(
    of: u8,
    input: &mut Input<'_>,
    rules: Rules,
) -> Result<Option<(Collection, u64)>> {
    let collection = match of {
        kind::LIST | kind::LIST_ZIPLIST | kind::LIST_QUICKLIST | kind::LIST_QUICKLIST_2 => {
            Collection::List(begun(rules))
        }
        kind::ZSET | kind::ZSET_2 => {
            let mut zset = begun(rules);
            ZsetTree::enlarge(&mut zset);
            Collection::Zset(zset)
        }
        kind::ZSET_ZIPLIST | kind::ZSET_LISTPACK => Collection::Zset(begun(rules)),
        kind::SET | kind::SET_INTSET | kind::SET_LISTPACK => {
            Collection::Set(Box::new(set::Reading::new(begun(rules))))
        }
        kind::HASH | kind::HASH_ZIPMAP | kind::HASH_ZIPLIST | kind::HASH_LISTPACK => {
            Collection::Hash(Box::new(hash::Reading::new(begun(rules))))
        }
        kind::HASH_TIMED_EARLY
        | kind::HASH_LISTPACK_TIMED_EARLY
        | kind::HASH_TIMED
        | kind::HASH_VALKEY
        | kind::HASH_LISTPACK_TIMED => {
            Collection::Hash(Box::new(hash::Reading::timed(of, begun(rules), input)?))
        }
        kind::STREAM | kind::STREAM_2 | kind::STREAM_3 | kind::STREAM_4 => {
            // It knows by itself when it ends, and may have no blocks.
            return Ok(Some((Collection::Stream(Box::new(stream::Reading::begin(input)?)), 1)));
        }
        _ => return Ok(None),
    };
    let items = if kind::is_packed(of) { 1 } else { input.length()? };
    if items == 0 {
        return Err(Stop::Empty);
    }
    Ok(Some((collection, items)))
}

impl Collection {
    /// Reads one item, or a part of one: then it is true. If it is not whole, nothing has happened.
    pub(crate) fn item(&mut self, of: u8, input: &mut Input<'_>) -> Result<bool> {
        match self {
            Self::List(list) => list::read(list, of, input).map(|()| false),
            Self::Zset(zset) => zset::read(zset, of, input).map(|()| false),
            Self::Set(set) => set.read(of, input).map(|()| false),
            Self::Hash(hash) => hash.read(of, input).map(|()| false),
            Self::Stream(stream) => stream.part(of, input),
        }
    }

    /// Leaves an empty one behind.
    pub(crate) fn take(&mut self) -> Self {
        match self {
            Self::List(list) => Self::List(core::mem::replace(list, begun(list.rules))),
            Self::Zset(zset) => Self::Zset(core::mem::replace(zset, begun(zset.rules))),
            Self::Set(set) => {
                let empty = set::Reading::new(begun(set.open.rules));
                Self::Set(core::mem::replace(set, Box::new(empty)))
            }
            Self::Hash(hash) => {
                let empty = hash::Reading::new(begun(hash.open.rules));
                Self::Hash(core::mem::replace(hash, Box::new(empty)))
            }
            Self::Stream(stream) => Self::Stream(core::mem::take(stream)),
        }
    }

    /// Called once all items were read.
    pub(crate) fn finish(mut self, of: u8, input: &mut Input<'_>) -> Result<Self> {
        // Redis packs what was not packed if it is small.
        if let Self::Zset(zset) = &mut self
            && !kind::is_packed(of)
        {
            zset.pack_if_small();
        }
        let is_empty = match &mut self {
            Self::List(list) => list.is_empty(),
            Self::Zset(zset) => zset.is_empty(),
            Self::Set(set) => {
                set.settle(input, true)?;
                set.open.is_empty()
            }
            Self::Hash(hash) => {
                hash.settle(of, input, true)?;
                hash.open.is_empty()
            }
            Self::Stream(_) => false,
        };
        if is_empty {
            return Err(Stop::Empty);
        }
        Ok(self)
    }

    /// Whether it is a hash with deadlines of fields.
    pub(crate) fn is_timed(&self) -> bool {
        matches!(self, Self::Hash(hash) if hash.open.view().soonest().is_some())
    }
}

/// The RDB type as which a collection is written.
pub(crate) fn kind_of(form: Form, is_large: bool) -> u8 {
    match form {
        Form::Int | Form::Embstr | Form::Raw => kind::STRING,
        Form::List => kind::LIST_QUICKLIST_2,
        Form::Zset if is_large => kind::ZSET_2,
        Form::Zset => kind::ZSET_LISTPACK,
        Form::Set => kind::SET,
        Form::Intset => kind::SET_INTSET,
        Form::Hash if is_large => kind::HASH,
        Form::Hash | Form::TimedHash => kind::HASH_LISTPACK,
        Form::Stream => kind::STREAM_2,
    }
}

/// Writes what stands behind the key of a packed collection.
pub(crate) fn write_packed(form: Form, packed: &[u8], out: &mut Vec<u8>) {
    match form {
        Form::Int | Form::Embstr | Form::Raw => put_string(out, packed),
        Form::List => list::write_packed(packed, out),
        Form::Zset => {
            let (count, row) = pack::parts(packed);
            rows::push_listpack(out, count, row);
        }
        Form::Set => set::write_packed(packed, out),
        Form::Intset => set::write_ints(packed, out),
        Form::Hash | Form::TimedHash => hash::write_packed(form, packed, out),
        Form::Stream => {}
    }
}

/// Writes what stands behind the key of a large value.
pub(crate) fn write_large(value: &LargeValue, sink: &mut dyn FnMut(&[u8])) {
    let mut out = Gather::new(sink);
    match value {
        LargeValue::Str(chunks) => {
            out.length(chunks.len() as u64);
            chunks.list().iter().for_each(|chunk| out.add(chunk));
        }
        LargeValue::List(list) => list::write_large(list, &mut out),
        LargeValue::Zset(zset) => zset::write_large(zset, &mut out),
        LargeValue::Set(set) => set::write_large(set, &mut out),
        LargeValue::Hash(hash) => hash::write_large(hash, &mut out),
        LargeValue::Stream(stream) => stream::write(stream, &mut out),
    }
    out.hand_out();
}
