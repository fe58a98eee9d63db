//! How a replica of Redis 7.0, which knows no deadlines of fields, is told of commands on them: by
//! the fields that are there now, and those that are not.

use crate::Reader;
use crate::entry::Teller;
use crate::types::hash::HashTree;
use alloc::vec::Vec;
use quorate_resp::Args;

/// Tells a command of this name; false if it is none of these.
pub(crate) fn tell(teller: &mut Teller, cx: &Reader<'_>, name: &str, args: Args<'_>) -> bool {
    let key = args.at(1);
    match name {
        "HEXPIRE" | "HPEXPIRE" | "HEXPIREAT" | "HPEXPIREAT" | "HPERSIST" | "HGETEX" | "HGETDEL" => {
            tell_gone(teller, cx, key, named(args));
        }
        "HSETEX" => {
            let pairs = named(args);
            let names: Vec<&[u8]> = pairs.iter().step_by(2).collect();
            let Ok(Some(hash)) = cx.view::<HashTree>(key) else {
                teller.say(cx.db, &[b"UNLINK", key]);
                return true;
            };
            let mut values = Vec::new();
            for &name in &names {
                if let Some(value) = hash.value(cx.keyspace.hash_key, name) {
                    values.push(name.to_vec());
                    values.push(value.bytes().into_owned());
                }
            }
            // An even number of names goes into each command: pairs stay together.
            teller.with_names(cx.db, &[b"HSET", key], values.iter().map(Vec::as_slice));
            let gone = names.iter().copied();
            let gone = gone.filter(|name| hash.field(cx.keyspace.hash_key, name).is_none());
            teller.with_names(cx.db, &[b"HDEL", key], gone);
        }
        _ => return false,
    }
    true
}

/// Tells which of these fields are not there any more.
pub(crate) fn tell_gone(teller: &mut Teller, cx: &Reader<'_>, key: &[u8], names: Args<'_>) {
    let hash = match cx.view::<HashTree>(key) {
        Ok(Some(hash)) => hash,
        Ok(None) => return teller.say(cx.db, &[b"UNLINK", key]),
        // Another value, whose fields these never were.
        Err(_) => return,
    };
    let gone = names.iter().filter(|name| hash.field(cx.keyspace.hash_key, name).is_none());
    teller.with_names(cx.db, &[b"HDEL", key], gone);
}

/// What stands behind `FIELDS` and its count. No option before it can be that word: the command was
/// carried out.
fn named(args: Args<'_>) -> Args<'_> {
    let at = args.iter().skip(2).position(|word| word.eq_ignore_ascii_case(b"FIELDS"));
    args.from(at.map_or(args.len(), |at| at + 4).min(args.len()))
}
