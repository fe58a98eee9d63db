//! Presence and removal: DEL, UNLINK, EXISTS, TOUCH, TYPE.

use super::ALL;
use crate::{Flags, Group, Keys, Reader, Spec, Writer, exactly, least};
use quorate_resp::{Args, Reply};

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Generic.rows([
    Spec::write("DEL", "key [key ...]", |cx, args| Ok(del(cx, args)))
        .facts(least(2), ALL, Flags::NONE)
        .doc("1.0.0", "Deletes one or more keys.")
        .access(&["RM delete"]),
    Spec::read("EXISTS", "key [key ...]", |cx, args| Ok(exists(cx, args)))
        .facts(least(2), ALL, Flags::FAST)
        .doc("1.0.0", "Counts how many of the keys exist.")
        .access(&["RO"]),
    Spec::read("TOUCH", "key [key ...]", |cx, args| Ok(exists(cx, args)))
        .facts(least(2), ALL, Flags::FAST)
        .doc("3.2.1", "Counts how many of the keys exist, as a use of them.")
        .access(&["RO"]),
    Spec::read("TYPE", "key", |cx, args| Ok(type_of(cx, args)))
        .facts(exactly(2), Keys::At(1), Flags::FAST)
        .doc("1.0.0", "Tells the type of the value at a key.")
        .access(&["RO"]),
    Spec::write("UNLINK", "key [key ...]", |cx, args| Ok(del(cx, args)))
        .facts(least(2), ALL, Flags::FAST)
        .doc("4.0.0", "Deletes one or more keys, freeing their memory in the background.")
        .access(&["RM delete"]),
]);

fn del(cx: &mut Writer<'_>, args: Args<'_>) -> Reply<'static> {
    let mut removed = 0;
    for key in args.from(1).iter() {
        if cx.remove(key) {
            cx.notify(b'g', "del", key);
            removed += 1;
        }
    }
    Reply::len(removed)
}

fn exists<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    Reply::len(args.from(1).iter().filter(|key| cx.exists(key)).count())
}

fn type_of<'a>(cx: &Reader<'a>, args: Args<'a>) -> Reply<'a> {
    Reply::Simple(cx.type_name(args.at(1)).unwrap_or("none").into())
}
