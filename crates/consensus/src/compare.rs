//! Comparing states while they run: replicas that hold different ones must not both go on.
//!
//! Every few seconds, and after each cut, the leader names a point of the log and asks the others
//! for two things: the digest of all that was applied up to there, and the digest of what stands in
//! a stretch of the keyspace at exactly that point. The first finds whatever was applied
//! differently; the second, stretch by stretch through the whole keyspace, what changed without
//! being applied (memory, a bug past the digest). Whoever differs from a majority stops and sets
//! its directory aside; a leader that does so hands over first. Where no majority agrees, nobody
//! knows who is right: writes are refused until somebody does.

use crate::env::{Check, Env};
use crate::leadership::Route;
use crate::lock::lock;
use crate::peer::transport::{PeerId, Request, Response};
use crate::proto as pb;
use crate::raft::network::call;
use crate::shared::Shared;
use futures::future::join_all;
use quorate_engine::{Content, ContentPoint, Keyspace};
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

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
/// How long a replica may take to come to the point.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// Points of the log whose digests are remembered.
const RECENT: usize = 4096;

/// What a replica keeps for comparisons.
#[derive(Debug, Default)]
pub(crate) struct Comparing {
    /// Index and digest of the newest entries of commands.
    recent: Mutex<VecDeque<(u64, u64)>>,
    /// The point at which somebody wants a stretch looked at.
    watch: Mutex<Option<Watch>>,
    /// Its index, or the greatest number; so that apply need not lock.
    watched: AtomicU64,
    /// A cut was applied: compare now.
    due: Notify,
    /// See [`Comparing::is_divided`].
    divided: AtomicBool,
    /// The last point at which all agreed.
    agreed: AtomicU64,
}

#[derive(Debug)]
struct Watch {
    at: u64,
    from: ContentPoint,
    keys_max: usize,
    bytes_max: usize,
    done: oneshot::Sender<Option<Content>>,
}

impl Comparing {
    /// Notes how the keyspace is, and looks at what somebody waits for. Called with the keyspace
    /// held, after each entry.
    pub(crate) fn see(&self, keyspace: &Keyspace) {
        let (index, digest) = (keyspace.applied_index(), keyspace.digest());
        let mut recent = lock(&self.recent);
        if recent.back().is_some_and(|(last, _)| *last > index) {
            // Another state was installed.
            recent.clear();
        }
        match recent.back_mut() {
            Some(last) if last.0 == index => last.1 = digest,
            _ => {
                if recent.len() == RECENT {
                    recent.pop_front();
                }
                recent.push_back((index, digest));
            }
        }
        drop(recent);
        self.look(keyspace);
    }

    /// Answers whoever waits, if the point is reached or passed.
    fn look(&self, keyspace: &Keyspace) {
        let index = keyspace.applied_index();
        // One less, so that nobody waits is the default.
        if self.watched.load(Ordering::Acquire).wrapping_sub(1) >= index {
            return;
        }
        let Some(watch) = lock(&self.watch).take_if(|watch| watch.at <= index) else { return };
        self.watched.store(0, Ordering::Release);
        let exact = watch.at == index;
        let content = exact.then(|| keyspace.content(watch.from, watch.keys_max, watch.bytes_max));
        let _ = watch.done.send(content);
    }

    fn watch(&self, watch: Watch) {
        let at = watch.at;
        *lock(&self.watch) = Some(watch);
        self.watched.store(at, Ordering::Release);
    }

    fn digest_at(&self, index: u64) -> Option<u64> {
        let recent = lock(&self.recent);
        let place = recent.binary_search_by_key(&index, |(at, _)| *at).ok()?;
        recent.get(place).map(|(_, digest)| *digest)
    }

    /// A cut was applied: a good moment.
    pub(crate) fn now(&self) {
        self.due.notify_one();
    }

    /// Whether replicas differ and no majority agrees: writes are refused.
    pub(crate) fn is_divided(&self) -> bool {
        self.divided.load(Ordering::Relaxed)
    }

    /// Index of the last entry after which all replicas that answered held the same.
    pub(crate) fn agreed(&self) -> u64 {
        self.agreed.load(Ordering::Relaxed)
    }
}

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
pub(crate) async fn run<E: Env>(shared: Arc<Shared<E>>) {
    let mut walk = Walk::default();
    while !shared.queue.is_closed() && !shared.env.skips(Check::Comparison) {
        let pause = if walk.from.is_some() { STRETCH_EVERY } else { EVERY };
        let _ = E::within(pause, shared.comparing.due.notified()).await;
        if !matches!(shared.route(), Route::Lead(_)) {
            walk.from = None;
            // What this replica found out as a leader, another one finds out anew.
            shared.comparing.divided.store(false, Ordering::Relaxed);
            continue;
        }
        let now = shared.env.elapsed();
        if walk.from.is_none() && walk.next <= now {
            let (from, next) = (Some(ContentPoint::default()), now + WALK_EVERY);
            walk = Walk { from, next, ..Walk::default() };
        }
        round(&shared, &mut walk).await;
    }
}

async fn round<E: Env>(shared: &Arc<Shared<E>>, walk: &mut Walk) {
    let (at, digest, content) = {
        let keyspace = shared.keyspace.read().await;
        let content = walk.from.map(|from| keyspace.content(from, STRETCH_KEYS, STRETCH_BYTES));
        (keyspace.applied_index(), keyspace.digest(), content)
    };
    if at == 0 {
        // Nothing was ever written.
        return;
    }
    let me = shared.settings.me.node;
    let voters = shared.voters();
    let others = voters.iter().filter(|voter| voter.node != me);
    let asked = others.map(|peer| ask(shared, peer, at, (digest, walk.from)));
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
    conclude(shared, at, (&voters, is_majority), verdicts).await;
}

/// What a stretch holds, as an answer says it.
fn stretch(answer: &pb::CompareResponse) -> Option<Content> {
    let next = ContentPoint { db: u8::try_from(answer.db).ok()?, cursor: answer.cursor };
    let next = answer.more.then_some(next);
    Some(Content { digest: answer.content, keys: answer.keys, next })
}

async fn ask<E: Env>(
    shared: &Shared<E>,
    peer: &PeerId,
    at: u64,
    (digest, from): (u64, Option<ContentPoint>),
) -> Option<(u64, pb::CompareResponse)> {
    let request = pb::CompareRequest {
        envelope: Some(shared.envelope(peer.node)),
        at: Some(pb::LogId { term: 0, index: at }),
        digest,
        db: from.map_or(0, |from| u32::from(from.db)),
        cursor: from.map_or(0, |from| from.cursor),
        keys_max: if from.is_some() { STRETCH_KEYS as u64 } else { 0 },
        bytes_max: STRETCH_BYTES as u64,
    };
    match call(shared, peer, Request::Compare(request), ANSWER_MAX * 2).await {
        Ok(Response::Compare(answer)) => Some((peer.node, answer)),
        _ => None,
    }
}

/// Acts on what two comparisons gave.
async fn conclude<E: Env>(
    shared: &Arc<Shared<E>>,
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
        shared.comparing.agreed.store(at, Ordering::Relaxed);
        if shared.comparing.divided.swap(false, Ordering::Relaxed) {
            tracing::warn!(at, "the replicas that answer hold the same again: writes go on");
        }
        return;
    }
    let me = shared.settings.me.node;
    if divided && differ.is_empty() {
        if !shared.comparing.divided.swap(true, Ordering::Relaxed) {
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
        tell(shared, peer, at, text).await;
    }
    if differ.contains(&me) {
        let text = format!("this replica {what} than a majority of the replicas after entry {at}");
        tracing::error!("{text}: it leads no longer");
        let heir = voters.iter().find(|peer| peer.node != me && !differ.contains(&peer.node));
        shared.give_up_office(heir.map(|heir| heir.node)).await;
        shared.failure.diverge(text);
    }
}

async fn tell<E: Env>(shared: &Shared<E>, peer: &PeerId, at: u64, what: String) {
    let request = pb::DivergedRequest {
        envelope: Some(shared.envelope(peer.node)),
        vote: None,
        at: Some(pb::LogId { term: 0, index: at }),
        what,
    };
    // It may be gone before it has answered; else the next comparison tells it again.
    let _ = call(shared, peer, Request::Diverged(request), ANSWER_MAX).await;
}

impl<E: Env> Shared<E> {
    /// The voters of the last membership applied.
    fn voters(&self) -> Vec<PeerId> {
        let membership = lock(&self.membership);
        let membership = membership.membership();
        let peer = |node: u64| {
            let address = membership.get_node(&node)?.peer_address.clone();
            Some(PeerId { node, address })
        };
        membership.voter_ids().filter_map(peer).collect()
    }

    /// A follower does not have the entry that it acknowledged last: its log is an older copy, or
    /// has lost its end. Whoever counts on it would count wrong, so it begins anew.
    pub(crate) fn has_lost(self: &Arc<Self>, peer: &PeerId, acknowledged: Option<pb::LogId>) {
        let at = acknowledged.map_or(0, |id| id.index);
        let what = format!(
            "node {} has acknowledged entry {at} and does not have it any more: its data directory \
             is an older copy, or its disk has lost what was synced",
            peer.node
        );
        let (this, peer) = (self.clone(), peer.clone());
        E::spawn(async move {
            tracing::error!("{what}");
            tell(&this, &peer, at, what).await;
        });
    }

    /// Hands leadership to this voter, and waits until somebody has it, for a while.
    async fn give_up_office(&self, heir: Option<u64>) {
        let (Some(raft), Some(heir)) = (self.raft(), heir) else { return };
        if raft.trigger().transfer_leader(heir).await.is_err() {
            return;
        }
        let gone = async {
            while self.leads() {
                self.queue.changed().await;
            }
        };
        if E::within(ANSWER_MAX, gone).await.is_none() {
            tracing::warn!("nobody has taken over in time");
        }
    }

    /// What this replica holds at a point that the leader names.
    pub(crate) async fn serve_compare(
        &self,
        request: pb::CompareRequest,
    ) -> Result<Response, String> {
        let from = self.check(request.envelope.as_ref())?;
        self.trust(from, None).await?;
        let at = request.at.map_or(0, |at| at.index);
        let (done, looked) = oneshot::channel();
        let point = ContentPoint {
            db: u8::try_from(request.db).map_err(|_| "no such database")?,
            cursor: request.cursor,
        };
        let bound = |asked: u64, most: usize| usize::try_from(asked).unwrap_or(most).min(most);
        let keys_max = bound(request.keys_max, STRETCH_KEYS);
        let bytes_max = bound(request.bytes_max, STRETCH_BYTES);
        self.comparing.watch(Watch { at, from: point, keys_max, bytes_max, done });
        // It may be there already, and nothing is applied any more.
        self.comparing.look(&*self.keyspace.read().await);
        let content = E::within(ANSWER_MAX, looked).await;
        let content = content.and_then(Result::ok).flatten().filter(|_| keys_max > 0);
        let digest = self.comparing.digest_at(at);
        let next = content.and_then(|content| content.next);
        Ok(Response::Compare(pb::CompareResponse {
            digest_is: digest.is_some(),
            digest: digest.unwrap_or(0),
            content_is: content.is_some(),
            content: content.map_or(0, |content| content.digest),
            keys: content.map_or(0, |content| content.keys),
            more: next.is_some(),
            db: next.map_or(0, |next| u32::from(next.db)),
            cursor: next.map_or(0, |next| next.cursor),
        }))
    }

    /// The leader says that this replica is not as a majority is.
    pub(crate) async fn serve_diverged(
        &self,
        request: pb::DivergedRequest,
    ) -> Result<Response, String> {
        let from = self.check(request.envelope.as_ref())?;
        self.trust(from, None).await?;
        let leader = lock(&self.office).leader.as_ref().map(|leader| leader.node);
        if leader != Some(from) {
            return Err(format!("node {from} is not the leader that this replica follows"));
        }
        self.failure.diverge(request.what);
        Ok(Response::Diverged(pb::DivergedResponse {}))
    }
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

    #[test]
    fn digests_are_found_by_index_until_they_are_old() {
        let comparing = Comparing::default();
        for index in 1..=RECENT as u64 + 5 {
            lock(&comparing.recent).push_back((index * 2, index));
        }
        assert_eq!(comparing.digest_at(8), Some(4));
        assert_eq!(comparing.digest_at(9), None);
    }
}
