//! Presence and removal: DEL, UNLINK, EXISTS, TOUCH, TYPE.

use super::ALL;
use crate::{Arity, Flags, Group, Keys, Logged, Reader, Spec, Writer};
use quorate_resp::{Args, Reply};

/// The rows.
pub(in crate::cmd) const COMMANDS: &[Spec] = &[
    Spec::write(
        Group::Generic.meta(
            "DEL",
            Arity::AtLeast(2),
            ALL,
            Flags::NONE,
            ("1.0.0", "Deletes one or more keys."),
        ),
        Logged::PLAIN,
        del,
    ),
    Spec::read(
        Group::Generic.meta(
            "EXISTS",
            Arity::AtLeast(2),
            ALL,
            Flags::FAST,
            ("1.0.0", "Counts how many of the keys exist."),
        ),
        exists,
    ),
    Spec::read(
        Group::Generic.meta(
            "TOUCH",
            Arity::AtLeast(2),
            ALL,
            Flags::FAST,
            ("3.2.1", "Counts how many of the keys exist, as a use of them."),
        ),
        exists,
    ),
    Spec::read(
        Group::Generic.meta(
            "TYPE",
            Arity::Exactly(2),
            Keys::At(1),
            Flags::FAST,
            ("1.0.0", "Tells the type of the value at a key."),
        ),
        type_of,
    ),
    Spec::write(
        Group::Generic.meta(
            "UNLINK",
            Arity::AtLeast(2),
            ALL,
            Flags::FAST,
            ("4.0.0", "Deletes one or more keys, freeing their memory in the background."),
        ),
        Logged::PLAIN,
        del,
    ),
];

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
