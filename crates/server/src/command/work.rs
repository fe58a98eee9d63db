//! Work that must be awaited, as data.
//!
//! A handler says what is to be done and how it is answered; [`perform`](super::perform) does it.

use crate::clients::Peer;
use crate::settings::Setting;
use crate::shared::Stop;
use crate::transaction::Queue;
use quorate_consensus::{Message, Role, Status};
use quorate_engine::{Db, Guard};
use quorate_resp::Reply;
use std::sync::Arc;
use std::time::Duration;

/// How long FAILOVER waits for somebody else to lead, unless it says how long.
pub(super) const HAND_OVER_TIME: Duration = Duration::from_secs(5);

/// Something to be awaited.
#[derive(Debug)]
pub(crate) enum Work {
    /// SAVE: a snapshot, and then the answer.
    Save,
    /// BGSAVE, BGREWRITEAOF: a snapshot in the background; the text is the answer.
    SaveBehind(&'static str),
    /// WAIT: until so many replicas hold what is committed, or this many milliseconds (0: for
    /// ever).
    Wait(usize, u64),
    /// CONFIG SET, checked already.
    Configure(Vec<ConfigChange>),
    /// CONFIG REWRITE.
    RewriteConfig,
    /// DEBUG SLEEP: the answer waits.
    Sleep(Duration),
    /// DEBUG FLIP-BIT: of the value at this key, on this replica alone.
    FlipBit(Db, Vec<u8>, u64),
    /// CLIENT KILL: the answer comes when their sockets are closed.
    Kill(Vec<Arc<Peer>>, Reply<'static>),
    /// An internal command through the log; its reply is the answer.
    Log(Vec<Vec<u8>>),
    /// PUBLISH: the answer is how many get the message.
    Publish(Message),
    /// SUBSCRIBE: its confirmations go out when what is published elsewhere comes here.
    Listen,
    /// REPLCONF ACK, UNSUBSCRIBE: neither anything to do nor an answer.
    Nothing,
    /// SYNC, PSYNC (with a heading): the session itself sends a snapshot.
    Snapshot { heading: bool },
    /// EXEC: the session itself carries out what was queued, if these hold.
    Exec(Queue, Vec<Guard>),
    /// SCRIPT KILL, FUNCTION KILL (`true`): wherever it runs.
    KillScript(bool),
    /// SHUTDOWN.
    Shutdown(Stop),
    /// FAILOVER: hand leadership over, to the replica at this address if there is one, within this
    /// time.
    HandOver(Option<String>, Duration),
}

/// One accepted `CONFIG SET` pair; the value is canonical.
#[derive(Clone, Debug)]
pub(crate) struct ConfigChange {
    pub(crate) row: &'static Setting,
    pub(crate) value: String,
}

/// Replicas that hold everything committed, besides the leader, and how many of them could.
///
/// A follower does not know who holds what; it answers what every acknowledgement has proved: a
/// majority.
pub(super) fn replicas(status: &Status) -> (usize, usize) {
    let voters = status.members.iter().filter(|member| member.voter);
    if status.role != Role::Leader {
        let proved = voters.count() / 2;
        return (proved, proved);
    }
    let live: Vec<_> = voters.filter(|member| member.node != status.node && member.live).collect();
    let hold = live.iter().filter(|member| member.matched >= Some(status.commit_index)).count();
    (hold, live.len())
}
