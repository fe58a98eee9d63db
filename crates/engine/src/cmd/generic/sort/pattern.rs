//! What BY and GET look up for an element: `weight_*` is a string, `object_*->field` a field of a
//! hash, `#` the element itself. Without a `*` there is nothing to look up.

use crate::Reader;
use crate::keyspace::StrRef;
use crate::types::hash::HashTree;
use crate::types::pack::Item;
use alloc::borrow::Cow;
use alloc::vec::Vec;
use quorate_resp::Reply;

/// A pattern in its parts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pattern<'a> {
    /// `#`.
    Element,
    /// No `*`.
    Fixed,
    /// The key is made of the element between two texts.
    Key {
        before: &'a [u8],
        after: &'a [u8],
        /// A field of the hash there.
        field: Option<&'a [u8]>,
    },
}

/// What was looked up.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// An element, or the value of a field.
    Item(Item<'a>),
    /// A string.
    Str(StrRef<'a>),
}

impl<'a> Pattern<'a> {
    /// Takes it apart. To Redis, which looks for the star and the arrow, a pattern ends with a zero
    /// byte.
    pub(super) fn new(text: &'a [u8]) -> Self {
        let shown = text.split(|byte| *byte == 0).next().unwrap_or_default();
        if shown == b"#" {
            return Self::Element;
        }
        let Some(star) = shown.iter().position(|byte| *byte == b'*') else { return Self::Fixed };
        let (before, after) = (text.get(..star), text.get(star + 1..));
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        let behind = shown.get(star + 1..).unwrap_or_default();
        let arrow = behind.windows(2).position(|pair| pair == b"->");
        // An arrow with nothing behind it is part of the key.
        match arrow.filter(|arrow| behind.len() > arrow + 2) {
            Some(arrow) => Self::Key {
                before,
                after: after.get(..arrow).unwrap_or_default(),
                field: after.get(arrow + 2..),
            },
            None => Self::Key { before, after, field: None },
        }
    }

    /// Whether it has a place for the element.
    pub(super) fn has_star(self) -> bool {
        matches!(self, Self::Key { .. })
    }

    /// Whether it is the element itself.
    pub(super) fn is_element(self) -> bool {
        matches!(self, Self::Element)
    }

    /// Looks it up for an element.
    pub(super) fn find<'r>(self, cx: &Reader<'r>, element: Item<'r>) -> Option<Found<'r>> {
        let (before, after, field) = match self {
            Self::Element => return Some(Found::Item(element)),
            Self::Fixed => return None,
            Self::Key { before, after, field } => (before, after, field),
        };
        let mut key = Vec::with_capacity(before.len() + element.len() + after.len());
        key.extend_from_slice(before);
        element.with(|bytes| key.extend_from_slice(bytes));
        key.extend_from_slice(after);
        match field {
            None => cx.string(&key).ok()?.map(Found::Str),
            Some(field) => of_hash(cx, &key, field),
        }
    }
}

/// A field of a hash.
fn of_hash<'r>(cx: &Reader<'r>, key: &[u8], field: &[u8]) -> Option<Found<'r>> {
    let hash = cx.view::<HashTree>(key).ok()??;
    hash.value(cx.keyspace.hash_key, field).map(Found::Item)
}

impl<'a> Found<'a> {
    /// Its bytes.
    pub(super) fn bytes(self) -> Cow<'a, [u8]> {
        match self {
            Self::Item(item) => item.bytes(),
            Self::Str(string) => string.bytes(),
        }
    }

    /// It as a reply.
    pub(super) fn reply(self) -> Reply<'a> {
        match self {
            Self::Item(item) => item.reply(),
            Self::Str(string) => string.reply(),
        }
    }
}
