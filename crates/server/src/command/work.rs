//! Work that must be awaited, as data: handlers say what, this file does it.

use super::{Client, bulk, error};
use crate::backend::Backend;
use crate::clients::Peer;
use crate::settings::Setting;
use crate::shared::{Shared, Stop};
use bytes::BytesMut;
use quorate_consensus::{Answer, Role, Status};
use quorate_engine::{Db, Run};
use quorate_resp::{Proto, Reply};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::Instant;

/// Somebody else, or the node itself, takes a snapshot.
const SAVING: &str = "Background save already in progress";
/// How often WAIT looks again.
const WAIT_STEP: Duration = Duration::from_millis(1);
/// How long CLIENT KILL waits for those it ends.
const KILL_TIME: Duration = Duration::from_millis(500);
/// How long SHUTDOWN and FAILOVER wait for somebody else to lead.
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
    /// REPLCONF ACK: neither anything to do nor an answer.
    Nothing,
    /// SYNC, PSYNC (with a heading): the session itself sends a snapshot.
    Snapshot { heading: bool },
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

/// Does the work; `None`: there is nothing to answer.
pub(crate) async fn perform<B: Backend>(
    work: Work,
    node: &B,
    shared: &Arc<Shared>,
    client: &mut Client,
) -> Option<Reply<'static>> {
    match work {
        // From here on INFO says that one is being made.
        Work::Save | Work::SaveBehind(_)
            if node.status().saving.running.is_some() || shared.saving.swap(true, Relaxed) =>
        {
            Some(error(format!("ERR {SAVING}")))
        }
        Work::Save => Some(match save(node, shared).await {
            Ok(()) => Reply::OK,
            Err(why) => error(format!("ERR {why}")),
        }),
        Work::SaveBehind(text) => {
            let (node, shared) = (node.clone(), Arc::clone(shared));
            // It notes its outcome itself, for INFO.
            drop(tokio::spawn(async move { save(&node, &shared).await }));
            Some(Reply::Simple(text.into()))
        }
        Work::Wait(count, ms) => Some(wait(node, count, ms).await),
        Work::Configure(changes) => Some(super::config::apply(node, shared, &changes).await),
        // Taken by the session before it comes here.
        Work::Snapshot { .. } | Work::Nothing => None,
        Work::RewriteConfig => Some(super::config::rewrite(shared)),
        Work::Sleep(time) => {
            tokio::time::sleep(time).await;
            Some(Reply::OK)
        }
        Work::Kill(peers, reply) => {
            let gone = async {
                for peer in &peers {
                    peer.wait_gone().await;
                }
            };
            // One that is at work ends behind it.
            let _ = tokio::time::timeout(KILL_TIME, gone).await;
            Some(reply)
        }
        Work::FlipBit(db, key, bit) => Some(flip_bit(node, db, &key, bit).await),
        Work::Log(args) => Some(through_log(node, &args).await),
        Work::HandOver(to, limit) => {
            let handed = tokio::time::timeout(limit, node.hand_over(to.as_deref())).await;
            Some(match handed {
                Ok(Ok(())) => Reply::OK,
                Ok(Err(why)) => error(format!("ERR {why}")),
                Err(_) => Reply::error("ERR nobody took over in time"),
            })
        }
        Work::Shutdown(stop) => {
            if matches!(stop, Stop::Orderly(_))
                && let Ok(Err(why)) =
                    tokio::time::timeout(HAND_OVER_TIME, node.hand_over(None)).await
            {
                tracing::warn!(why, "stopping without having handed leadership over");
            }
            shared.request_stop(stop);
            client.closing = true;
            None
        }
    }
}

async fn flip_bit<B: Backend>(node: &B, db: Db, key: &[u8], bit: u64) -> Reply<'static> {
    if !node.flip_bit(db, key, bit).await {
        return Reply::error("ERR no such key, or its value has no bytes that could be others");
    }
    tracing::warn!("DEBUG FLIP-BIT: this replica now holds another state than the others");
    Reply::OK
}

/// Has a snapshot made; the caller has set `shared.saving`.
async fn save<B: Backend>(node: &B, shared: &Shared) -> Result<(), String> {
    let outcome = node.snapshot().await;
    match &outcome {
        Ok(index) => tracing::info!(index, "snapshot made on request"),
        Err(why) => {
            tracing::warn!(why, "the requested snapshot failed");
            shared.save_failed_at.store(crate::shared::unix_micros() / 1_000_000, Relaxed);
        }
    }
    shared.saving.store(false, Relaxed);
    outcome.map(drop)
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

/// Writes are acknowledged by a majority anyway, so this rarely waits, and never for a replica that
/// is down.
async fn wait<B: Backend>(node: &B, count: usize, ms: u64) -> Reply<'static> {
    let end = (ms > 0).then(|| Instant::now() + Duration::from_millis(ms));
    loop {
        let (hold, live) = replicas(&node.status());
        if hold >= count.min(live) || end.is_some_and(|end| Instant::now() >= end) {
            return Reply::len(hold);
        }
        tokio::time::sleep(WAIT_STEP).await;
    }
}

/// Sends an internal command through the log.
pub(super) async fn through_log<B: Backend>(node: &B, args: &[Vec<u8>]) -> Reply<'static> {
    let mut commands = BytesMut::new();
    quorate_resp::write_command(&mut commands, args.iter().map(Vec::as_slice));
    let run = Run {
        db: quorate_engine::Db(0),
        proto: Proto::Resp2,
        commands: commands.freeze(),
        count: 1,
    };
    match node.submit(run).await {
        Answer::Replies(bytes) => match bytes.strip_suffix(b"\r\n").and_then(<[u8]>::split_first) {
            Some((b'+', line)) => Reply::Simple(super::text(line).into_owned().into()),
            Some((b'-', line)) => Reply::error_of(&[line]),
            _ => bulk(bytes.to_vec()),
        },
        Answer::NotApplied(why) => Reply::error(crate::session::not_applied(&why)),
        Answer::Uncertain => Reply::error(crate::session::UNCERTAIN),
    }
}
