//! What a replica or a backup client asks: `SYNC`, `PSYNC` and `REPLCONF`, as Redis's replicas
//! speak.
//!
//! They get a snapshot and, unless they want it alone, the stream of what is applied here behind
//! it, in commands of Redis 7.0. Nobody can go on where a stream ended: PSYNC always gives
//! everything.

use super::{Call, NODE, Row, Run, Work, int, is, not_an_integer, syntax_error, text};
use quorate_engine::{Flags, Group, Keys, exactly, least};
use quorate_resp::{Args, Reply};
use std::sync::atomic::Ordering::Relaxed;

const ADMIN: Flags = Flags::ADMIN.and(Flags::DANGEROUS);
/// Bytes of an address that a replica announces, as in Redis.
const HOST_BYTES_MAX: usize = 255;

/// The rows.
pub(super) const ROWS: &[Row] = &Group::Server.rows([
    Row::new("SYNC", "", Run::Ask(|_, _| Ok(Work::Snapshot { heading: false })))
        .facts(exactly(1), Keys::None, Flags::STALE.and(ADMIN).and(Flags::NO_MULTI))
        .doc(
            "1.0.0",
            "Sends a snapshot to a backup client or a replica, and then what follows it.",
        ),
    Row::new("PSYNC", "replicationid offset", Run::Ask(psync))
        .facts(least(3), Keys::None, Flags::STALE.and(ADMIN).and(Flags::NO_MULTI))
        .doc("2.8.0", "Sends a snapshot to a replica, and then what follows it."),
    Row::new("REPLCONF", "[option value [option value ...]]", Run::Ask(replconf))
        .facts(least(1), Keys::None, NODE.and(ADMIN))
        .doc("3.0.0", "Takes note of what a replica is."),
]);

fn psync(call: &mut Call<'_>, args: Args<'_>) -> Result<Work, Reply<'static>> {
    if args.len() > 3 {
        return Err(Reply::error(
            "ERR PSYNC FAILOVER is not supported: nobody takes over a cluster",
        ));
    }
    int(args.at(2)).ok_or_else(not_an_integer)?;
    if args.at(1) != b"?" {
        call.shared.followers.refused.fetch_add(1, Relaxed);
    }
    Ok(Work::Snapshot { heading: true })
}

fn replconf(call: &mut Call<'_>, args: Args<'_>) -> Result<Work, Reply<'static>> {
    if args.len().is_multiple_of(2) {
        return Err(syntax_error());
    }
    let announced = &mut call.client.announced;
    let options: Vec<&[u8]> = args.from(1).iter().collect();
    for pair in options.chunks(2) {
        let [option, value] = pair else { continue };
        match option {
            // How far a replica is. It expects no answer, from Redis neither.
            option if is(option, "ack") => return Ok(Work::Nothing),
            option if is(option, "getack") => {
                return Err(Reply::error("ERR this node has no master"));
            }
            option if is(option, "listening-port") => {
                let port = int(value).ok_or_else(not_an_integer)?;
                announced.port = u16::try_from(port).unwrap_or(0);
            }
            option if is(option, "ip-address") => {
                if value.len() > HOST_BYTES_MAX {
                    return Err(Reply::error("ERR REPLCONF ip-address is too long"));
                }
                announced.host = Some(text(value).into_owned()).filter(|host| !host.is_empty());
            }
            option if is(option, "rdb-only") => {
                announced.rdb_only = int(value).ok_or_else(not_an_integer)? != 0;
            }
            option if is(option, "rdb-filter-only") => {
                return Err(Reply::error(
                    "ERR rdb-filter-only is not supported: a snapshot is sent whole, and there are \
                     no functions in it",
                ));
            }
            _ => {}
        }
    }
    Err(Reply::OK)
}
