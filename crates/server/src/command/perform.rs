//! Carries out what handlers ask for: the only file of the commands that awaits.
//!
//! Nothing here looks at a command's words; they were checked before.

use super::log::through_log;
use super::work::{Work, replicas};
use super::{Client, config, error};
use crate::backend::Backend;
use crate::refusal;
use crate::shared::Shared;
use quorate_consensus::{Kill, Message, NoSnapshot};
use quorate_engine::Db;
use quorate_resp::Reply;
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
        Work::Configure(changes) => Some(config::apply(node, shared, &changes).await),
        // Taken by the session before it comes here.
        Work::Snapshot { .. } | Work::Exec(..) | Work::Nothing => None,
        Work::Publish(message) => Some(publish(node, message).await),
        Work::Listen => {
            node.announced().await;
            None
        }
        Work::RewriteConfig => Some(config::rewrite(shared)),
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
        Work::KillScript(function) => Some(match node.kill_script(function).await {
            Kill::Ends => Reply::OK,
            Kill::Idle => Reply::error("NOTBUSY No scripts in execution right now."),
            Kill::Other => Reply::error(refusal::busy(!function)),
        }),
        Work::HandOver(to, limit) => {
            let handed = tokio::time::timeout(limit, node.hand_over(to.as_deref())).await;
            Some(match handed {
                Ok(Ok(())) => Reply::OK,
                Ok(Err(why)) => error(format!("ERR {why}")),
                Err(_) => Reply::error("ERR nobody took over in time"),
            })
        }
        Work::Shutdown(stop) => {
            shared.request_stop(stop);
            client.closing = true;
            None
        }
    }
}

/// PUBLISH outside of a transaction: within one, the message goes with the entry.
async fn publish<B: Backend>(node: &B, message: Message) -> Reply<'static> {
    Reply::Int(i64::try_from(node.publish(message).await).unwrap_or(i64::MAX))
}

async fn flip_bit<B: Backend>(node: &B, db: Db, key: &[u8], bit: u64) -> Reply<'static> {
    if !node.flip_bit(db, key, bit).await {
        return Reply::error("ERR no such key, or its value has no bytes that could be others");
    }
    tracing::warn!("DEBUG FLIP-BIT: this replica now holds another state than the others");
    Reply::OK
}

/// Has a snapshot made; the caller has set `shared.saving`.
async fn save<B: Backend>(node: &B, shared: &Shared) -> Result<(), NoSnapshot> {
    let outcome = node.snapshot().await;
    match &outcome {
        Ok(index) => tracing::info!(index, "snapshot made on request"),
        Err(why) => {
            tracing::warn!(%why, "the requested snapshot failed");
            shared.save_failed_at.store(crate::shared::unix_micros() / 1_000_000, Relaxed);
        }
    }
    shared.saving.store(false, Relaxed);
    outcome.map(drop)
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
