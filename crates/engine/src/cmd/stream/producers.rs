//! How long a stream remembers what its producers sent: XCFGSET of Redis 8.6. Redis 7.0 does not
//! know it, so it is logged armoured.

use super::Result;
use crate::cmd::generic::{NOT_AN_INTEGER, SYNTAX};
use crate::types::Open;
use crate::types::stream::{DURATION_MAX, Producers, SIZE_MAX, Stream};
use crate::{Flags, Group, Keys, Spec, Writer, least};
use quorate_resp::{Args, Reply, parse_int};

/// What a change is called in the digest.
const CONFIGURE: u64 = 96;

/// The rows.
pub(in crate::cmd) const ROWS: &[Spec] = &Group::Stream.rows([Spec::write(
    "XCFGSET",
    "key [IDMP-DURATION seconds] [IDMP-MAXSIZE count]",
    xcfgset,
)
.facts(least(2), Keys::At(1), Flags::FAST)
.doc("8.6.0", "Sets for how long, and how many, idempotent ids a stream remembers.")
.hidden()]);

/// Reads the options: seconds, and how many.
fn parse(words: Args<'_>) -> Result<(Option<u64>, Option<u64>)> {
    let (mut duration_s, mut size, mut at) = (None, None, 0);
    while let Some(word) = words.get(at) {
        let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
        let (place, most, error) = if is(b"IDMP-DURATION") {
            (&mut duration_s, DURATION_MAX, "ERR IDMP-DURATION must be between 1 and 86400 seconds")
        } else if is(b"IDMP-MAXSIZE") {
            (&mut size, SIZE_MAX, "ERR IDMP-MAXSIZE must be between 1 and 10000 entries")
        } else {
            return Err(Reply::error(SYNTAX));
        };
        let value = words.get(at + 1).ok_or(Reply::error(SYNTAX))?;
        let value = parse_int(value).ok_or(Reply::error(NOT_AN_INTEGER))?;
        let value = u64::try_from(value).ok().filter(|value| (1..=most).contains(value));
        *place = Some(value.ok_or(Reply::error(error))?);
        at += 2;
    }
    if (duration_s, size) == (None, None) {
        return Err(Reply::error("ERR At least one parameter must be specified"));
    }
    Ok((duration_s, size))
}

fn xcfgset(cx: &mut Writer<'_>, args: Args<'_>) -> Result<Reply<'static>> {
    let (duration_s, size) = parse(args.from(2))?;
    let done = cx.edit(args.at(1), |open: &mut Open<Stream>| {
        let Producers { duration_s: old_duration, size: old_size, .. } =
            *open.stream().producers_mut();
        let (duration_s, size) = (duration_s.unwrap_or(old_duration), size.unwrap_or(old_size));
        let producers = open.stream().producers_mut();
        if (duration_s, size) != (old_duration, old_size) {
            (producers.duration_s, producers.size) = (duration_s, size);
            producers.clear();
        }
        open.note(CONFIGURE | size << 8, &duration_s.to_le_bytes());
    })?;
    done.map(|()| Reply::OK).ok_or(Reply::error("ERR no such key"))
}
