//! Comparing states while they run: replicas that hold different ones must not both go on.
//!
//! Every few seconds, and after each cut, the leader names a point of the log and asks the others
//! for two things: the digest of all that was applied up to there, and the digest of what stands in
//! a stretch of the keyspace at exactly that point. The first finds whatever was applied
//! differently; the second, stretch by stretch through the whole keyspace, what changed without
//! being applied (memory, a bug past the digest). Whoever differs from a majority stops and sets
//! its directory aside; a leader that does so hands over first. Where no majority agrees, nobody
//! knows who is right: writes are refused until somebody does.

pub(crate) mod state;
pub(crate) mod tell;

use crate::compare::state::Watch;
use crate::compare::tell::{ANSWER_MAX, tell};
use crate::env::{Check, Env};
use crate::group::Group;
use crate::leadership::Route;
use crate::live::Live;
use crate::peer::transport::{PeerId, Request, Response};
use crate::proto as pb;
use crate::raft::Raft;
use futures::future::join_all;
use quorate_engine::{Content, ContentPoint};
use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;

/// Between two comparisons of a keyspace that was walked through.
const EVERY: Duration = Duration::from_secs(5);
/// Between two stretches: two and a half million small keys a minute.
const STRETCH_EVERY: Duration = Duration::from_millis(100);
/// A walk begins so long after the last one.
const WALK_EVERY: Duration = Duration::from_secs(15);
/// Keys and bytes of a stretch: some 0.3 ms of work.
const STRETCH_KEYS: usize = 4096;
const STRETCH_BYTES: usize = 256 << 10;
/// A stretch that somebody could not look at at the very point is tried so often; one in which
/// somebody differed, until all have looked, so many times as often.
const TRIES: u32 = 20;
const DIFFER_TIMES: u32 = 50;

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Agree,
    /// A majority agrees, and these differ from it.
    Minority(Vec<u64>),
    /// Some differ, and no majority agrees.
    Divided,
}

/// Judges what replicas hold, of so many that vote.
fn judge<T: PartialEq>(voters: usize, held: &[(u64, T)]) -> Verdict {
    let count = |value: &T| held.iter().filter(|(_, other)| other == value).count();
    let Some((_, most)) = held.iter().max_by_key(|(_, value)| count(value)) else {
        return Verdict::Agree;
    };
    if count(most) == held.len() {
        Verdict::Agree
    } else if count(most) * 2 > voters {
        let differ = held.iter().filter(|(_, value)| value != most);
        Verdict::Minority(differ.map(|(node, _)| *node).collect())
    } else {
        Verdict::Divided
    }
}

/// Where the walk through the keyspace stands.
#[derive(Debug, Default)]
struct Walk {
    from: Option<ContentPoint>,
    tries: u32,
    /// Who holds the same in this stretch. Not all come to the same point each time.
    same: BTreeSet<u64>,
    /// Somebody holds something else in it.
    differs: bool,
    /// When the next one begins.
    next: Duration,
}

impl Walk {
    /// Takes what others hold in the stretch, and goes on to the next one if this is done.
    fn take(&mut self, ours: Content, stretches: &[(u64, Option<Content>)], all: &[u64]) {
        self.tries += 1;
        for (node, theirs) in stretches {
            if *theirs == Some(ours) {
                self.same.insert(*node);
            } else {
                self.differs = true;
            }
        }
        let tries = if self.differs { TRIES * DIFFER_TIMES } else { TRIES };
        let known = !self.differs && all.iter().all(|node| self.same.contains(node));
        if known || stretches.len() == all.len() || self.tries >= tries {
            *self = Self { from: ours.next, next: self.next, ..Self::default() };
        }
    }
}

/// Compares for as long as this replica runs; only a leader asks.
pub(crate) async fn run<E: Env>(group: Group<E>, raft: Raft<E>) {
    let mut walk = Walk::default();
    while !group.writes.queue.is_closed() && !group.process.env.skips(Check::Comparison) {
        let pause = if walk.from.is_some() { STRETCH_EVERY } else { EVERY };
        let _ = E::within(pause, group.keyspace.comparing.due.notified()).await;
        if !matches!(group.leadership.route(), Route::Lead(_)) {
            walk.from = None;
            // What this replica found out as a leader, another one finds out anew.
            group.keyspace.comparing.divided.store(false, Ordering::Relaxed);
            continue;
        }
        let now = group.process.env.elapsed();
        if walk.from.is_none() && walk.next <= now {
            let (from, next) = (Some(ContentPoint::default()), now + WALK_EVERY);
            walk = Walk { from, next, ..Walk::default() };
        }
        round((&group, &raft), &mut walk).await;
    }
}

async fn round<E: Env>((group, raft): (&Group<E>, &Raft<E>), walk: &mut Walk) {
    let (at, digest, content) = {
        let keyspace = group.keyspace.read().await;
        let content = walk.from.map(|from| keyspace.content(from, STRETCH_KEYS, STRETCH_BYTES));
        (keyspace.applied_index(), keyspace.digest(), content)
    };
    if at == 0 {
        // Nothing was ever written.
        return;
    }
    let me = group.process.me.node;
    let voters = group.keyspace.voters();
    let others = voters.iter().filter(|voter| voter.node != me);
    let asked = others.map(|peer| ask(group, peer, at, (digest, walk.from)));
    let answers: Vec<(u64, pb::CompareResponse)> =
        join_all(asked).await.into_iter().flatten().collect();
    let known = answers.iter().filter(|(_, answer)| answer.digest_is);
    let mut digests: Vec<_> = known.map(|(node, answer)| (*node, answer.digest)).collect();
    digests.push((me, digest));
    let looked = answers.iter().filter(|(_, answer)| answer.content_is);
    let mut stretches: Vec<_> = looked.map(|(node, answer)| (*node, stretch(answer))).collect();
    let all: Vec<u64> = answers.iter().map(|(node, _)| *node).collect();
    let here = walk.from;
    if let Some(content) = content {
        walk.take(content, &stretches, &all);
        stretches.push((me, Some(content)));
    }
    if stretches.len() <= all.len() {
        // Somebody came past the point before it could look: then nobody can judge.
        stretches.clear();
    }
    let verdicts = [judge(voters.len(), &digests), judge(voters.len(), &stretches)];
    if verdicts.last() == Some(&Verdict::Divided) {
        // It stays at this stretch until somebody else can tell who is right.
        walk.from = here;
    }
    let is_majority = digests.len() * 2 > voters.len();
    conclude((group, raft), at, (&voters, is_majority), verdicts).await;
}

/// What a stretch holds, as an answer says it.
fn stretch(answer: &pb::CompareResponse) -> Option<Content> {
    let next = ContentPoint { db: u8::try_from(answer.db).ok()?, cursor: answer.cursor };
    let next = answer.more.then_some(next);
    Some(Content { digest: answer.content, keys: answer.keys, next })
}

async fn ask<E: Env>(
    group: &Group<E>,
    peer: &PeerId,
    at: u64,
    (digest, from): (u64, Option<ContentPoint>),
) -> Option<(u64, pb::CompareResponse)> {
    let request = pb::CompareRequest {
        envelope: Some(group.process.envelope(peer.node)),
        at: Some(pb::LogId { term: 0, index: at }),
        digest,
        db: from.map_or(0, |from| u32::from(from.db)),
        cursor: from.map_or(0, |from| from.cursor),
        keys_max: if from.is_some() { STRETCH_KEYS as u64 } else { 0 },
        bytes_max: STRETCH_BYTES as u64,
    };
    match group.process.env.call(peer, Request::Compare(request), ANSWER_MAX * 2).await {
        Ok(Response::Compare(answer)) => Some((peer.node, answer)),
        _ => None,
    }
}

/// Acts on what two comparisons gave.
async fn conclude<E: Env>(
    (group, raft): (&Group<E>, &Raft<E>),
    at: u64,
    (voters, is_majority): (&[PeerId], bool),
    verdicts: [Verdict; 2],
) {
    let divided = verdicts.contains(&Verdict::Divided);
    let what = if verdicts.first() == Some(&Verdict::Agree) {
        "holds something else in memory"
    } else {
        "has applied something else"
    };
    let minorities = verdicts.iter().filter_map(|verdict| match verdict {
        Verdict::Minority(nodes) => Some(nodes),
        _ => None,
    });
    let differ: BTreeSet<u64> = minorities.flatten().copied().collect();
    if !divided && differ.is_empty() {
        if !is_majority {
            // Too few have answered to take anything back.
            return;
        }
        group.keyspace.comparing.agreed.store(at, Ordering::Relaxed);
        if group.keyspace.comparing.divided.swap(false, Ordering::Relaxed) {
            tracing::warn!(at, "the replicas that answer hold the same again: writes go on");
        }
        return;
    }
    let me = group.process.me.node;
    if divided && differ.is_empty() {
        if !group.keyspace.comparing.divided.swap(true, Ordering::Relaxed) {
            tracing::error!(
                at,
                "replicas hold different states, and no majority agrees; writes are refused. \
                 Compare the data of each node, keep the right one, and move the directories of \
                 the others aside"
            );
        }
        return;
    }
    for peer in voters.iter().filter(|peer| peer.node != me && differ.contains(&peer.node)) {
        let text =
            format!("node {} {what} than a majority of the replicas after entry {at}", peer.node);
        tracing::error!("{text}");
        tell(&group.process, peer, at, text).await;
    }
    if differ.contains(&me) {
        let text = format!("this replica {what} than a majority of the replicas after entry {at}");
        tracing::error!("{text}: it leads no longer");
        let heir = voters.iter().find(|peer| peer.node != me && !differ.contains(&peer.node));
        give_up_office(group, raft, heir.map(|heir| heir.node)).await;
        group.process.failure.diverge(text);
    }
}

/// Hands leadership to this voter, and waits until somebody has it, for a while.
async fn give_up_office<E: Env>(group: &Group<E>, raft: &Raft<E>, heir: Option<u64>) {
    let Some(heir) = heir else { return };
    if raft.trigger().transfer_leader(heir).await.is_err() {
        return;
    }
    let gone = async {
        while group.leadership.leads() {
            group.writes.queue.changed().await;
        }
    };
    if E::within(ANSWER_MAX, gone).await.is_none() {
        tracing::warn!("nobody has taken over in time");
    }
}

/// The leader names a database that there cannot be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoSuchDatabase;

impl fmt::Display for NoSuchDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such database")
    }
}

impl Error for NoSuchDatabase {}

/// What this replica holds at a point that the leader names.
pub(crate) async fn answer<E: Env>(
    keyspace: &Live,
    request: &pb::CompareRequest,
) -> Result<pb::CompareResponse, NoSuchDatabase> {
    let at = request.at.map_or(0, |at| at.index);
    let (done, looked) = oneshot::channel();
    let point = ContentPoint {
        db: u8::try_from(request.db).map_err(|_| NoSuchDatabase)?,
        cursor: request.cursor,
    };
    let bound = |asked: u64, most: usize| usize::try_from(asked).unwrap_or(most).min(most);
    let keys_max = bound(request.keys_max, STRETCH_KEYS);
    let bytes_max = bound(request.bytes_max, STRETCH_BYTES);
    keyspace.comparing.watch(Watch { at, from: point, keys_max, bytes_max, done });
    // It may be there already, and nothing is applied any more.
    keyspace.comparing.look(&*keyspace.read().await);
    let content = E::within(ANSWER_MAX, looked).await;
    let content = content.and_then(Result::ok).flatten().filter(|_| keys_max > 0);
    let digest = keyspace.comparing.digest_at(at);
    let next = content.and_then(|content| content.next);
    Ok(pb::CompareResponse {
        digest_is: digest.is_some(),
        digest: digest.unwrap_or(0),
        content_is: content.is_some(),
        content: content.map_or(0, |content| content.digest),
        keys: content.map_or(0, |content| content.keys),
        more: next.is_some(),
        db: next.map_or(0, |next| u32::from(next.db)),
        cursor: next.map_or(0, |next| next.cursor),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_of_all_voters_decides() {
        let check = |voters, held: &[u64], expected: Verdict| {
            let held: Vec<(u64, u64)> =
                held.iter().copied().enumerate().map(|(n, v)| (n as u64, v)).collect();
            assert_eq!(judge(voters, &held), expected, "{held:?} of {voters}");
        };
        check(3, &[5, 5, 5], Verdict::Agree);
        check(3, &[5], Verdict::Agree);
        check(3, &[5, 6, 5], Verdict::Minority(vec![1]));
        check(3, &[6, 5, 5], Verdict::Minority(vec![0]));
        // One does not answer: nobody knows which of the two is right.
        check(3, &[5, 6], Verdict::Divided);
        check(3, &[5, 6, 7], Verdict::Divided);
        check(5, &[5, 6, 5, 5], Verdict::Minority(vec![1]));
        check(5, &[5, 6, 5], Verdict::Divided);
        check(1, &[5], Verdict::Agree);
    }

    #[test]
    fn a_walk_goes_on_when_each_was_compared_once() {
        let ours = Content { digest: 1, keys: 5, next: Some(ContentPoint { db: 0, cursor: 9 }) };
        let other = Content { digest: 2, ..ours };
        let begun = || Walk { from: Some(ContentPoint::default()), ..Walk::default() };
        let mut walk = begun();
        walk.take(ours, &[(2, Some(ours))], &[2, 3]);
        walk.take(ours, &[], &[2, 3]);
        assert_eq!(walk.from, Some(ContentPoint::default()), "3 was not compared yet");
        walk.take(ours, &[(3, Some(ours))], &[2, 3]);
        assert_eq!((walk.from, walk.tries), (ours.next, 0));
        // One that differs is asked until all have looked at one point.
        let mut walk = begun();
        for _ in 0..TRIES * 2 {
            walk.take(ours, &[(2, Some(other))], &[2, 3]);
        }
        assert!(walk.from != ours.next && walk.differs);
        walk.take(ours, &[(2, Some(other)), (3, Some(ours))], &[2, 3]);
        assert_eq!(walk.from, ours.next);
        // One that never comes to the point does not hold the walk up for ever.
        let mut walk = begun();
        for _ in 0..TRIES {
            walk.take(ours, &[(2, Some(ours))], &[2, 3]);
        }
        assert_eq!(walk.from, ours.next);
    }
}
