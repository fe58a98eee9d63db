//! A value that does not lie in its key's record, whatever its type.
//!
//! The types do not know of each other; this file knows all of them. A new type gets a variant of
//! [`Value`] here, and a line below.

use super::Kind;
use super::chunks::Chunks;
use super::hash::HashTree;
use super::list::ListTree;
use super::set::SetTree;
use super::stream::Stream;
use super::zset::ZsetTree;

/// A value that does not lie in its record. A clone shares everything.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A string over 64 KiB.
    Str(Chunks),
    /// A list.
    List(ListTree),
    /// A sorted set.
    Zset(ZsetTree),
    /// A set.
    Set(SetTree),
    /// A hash.
    Hash(HashTree),
    /// A stream.
    Stream(Stream),
}

impl Value {
    /// Bytes as counted for `maxmemory`.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::Str(chunks) => chunks.len() + chunks.list().len() * 48,
            Self::List(list) => list.cost(),
            Self::Zset(zset) => zset.cost(),
            Self::Set(SetTree(tree)) => tree.cost(),
            Self::Hash(hash) => hash.cost(),
            Self::Stream(stream) => stream.cost(),
        }
    }

    /// Drops it piece by piece: see [`Garbage::free`](crate::Garbage::free).
    pub(crate) fn free(self, pause: &mut dyn FnMut()) {
        match self {
            Self::Str(chunks) => chunks.free(pause),
            Self::List(ListTree(tree)) => tree.free(pause),
            Self::Zset(zset) => zset.free(pause),
            Self::Set(SetTree(tree)) => tree.free(pause),
            Self::Hash(hash) => hash.fields.free(pause),
            Self::Stream(stream) => stream.free(pause),
        }
    }
}

/// The large form of a type of collection.
pub(crate) trait Large: Kind {
    /// Takes a value of this type out of its wrapping.
    fn from_value(value: Value) -> Option<Self>;

    /// The same, borrowed.
    fn of_value(value: &Value) -> Option<&Self>;

    /// Wraps it.
    fn into_value(self) -> Value;
}

macro_rules! large {
    ($($large:ty => $wrapped:ident),* $(,)?) => {$(
        impl Large for $large {
            fn from_value(value: Value) -> Option<Self> {
                if let Value::$wrapped(large) = value { Some(large) } else { None }
            }

            fn of_value(value: &Value) -> Option<&Self> {
                if let Value::$wrapped(large) = value { Some(large) } else { None }
            }

            fn into_value(self) -> Value {
                Value::$wrapped(self)
            }
        }
    )*};
}

large! {
    ListTree => List,
    ZsetTree => Zset,
    SetTree => Set,
    HashTree => Hash,
    Stream => Stream,
}
