//! What happens to the hosts' disks and memory behind the replicas' backs, and messages that nobody
//! of the cluster sent.
//!
//! One host at a time, with the others whole: a cluster survives that much. A replica that refuses
//! its directory, or that was told that it holds something else than the others, comes back as a
//! new node of its name, like a disk that was replaced.

use super::check::Wrong;
use super::cluster::{Cluster, HOSTS};
use super::net::{Random, SimTransport};
use super::rt::SimRt;
use crate::peer::transport::{PeerId, Request, Transport, TransportError};
use crate::proto as pb;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use openraft::AsyncRuntime;
use quorate_engine::Db;
use quorate_store::FakeDisk;
use std::time::Duration;

/// Within this a replica that holds something else is found out and replaced.
pub(crate) const FOUND_MAX: Duration = Duration::from_mins(1);
const BLOCK: usize = 4096;
/// A key that no client changes, and its database.
const STONE: (u8, &str) = (5, "stone");

/// What happens to the end of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// Its last block is zeros.
    Zeroed,
    /// Its file is cut.
    Cut,
}

/// The newest segment that holds records, and where these end.
fn newest(disk: &FakeDisk) -> Option<(String, Vec<u8>, usize)> {
    let number = |path: &String| path.split('.').nth(2).and_then(|text| text.parse::<u32>().ok());
    let mut segments: Vec<String> =
        disk.paths().into_iter().filter(|path| path.ends_with(".incr.aof")).collect();
    segments.sort_by_key(number);
    segments.into_iter().rev().find_map(|path| {
        let bytes = disk.contents(&path)?;
        let records = bytes.get(..bytes.len().checked_sub(BLOCK)?)?;
        let end = records.iter().rposition(|byte| *byte != b'#' && *byte != b'\n')?;
        Some((path, bytes, end))
    })
}

/// Does something to the end of a log.
pub(crate) fn damage_end(disk: &FakeDisk, what: End, and_foot: bool) {
    let Some((path, mut bytes, end)) = newest(disk) else { return };
    match what {
        End::Zeroed => {
            let block = end / BLOCK * BLOCK;
            if let Some(block) = bytes.get_mut(block..block + BLOCK) {
                block.fill(0);
            }
        }
        End::Cut => bytes.truncate(end / 2),
    }
    if and_foot {
        disk.tamper("durable", None);
    }
    let foot = bytes.len().saturating_sub(BLOCK);
    if let Some(foot) = bytes.get_mut(foot..).filter(|_| and_foot) {
        foot.fill(b'#');
        foot.iter_mut().skip(511).step_by(512).for_each(|byte| *byte = b'\n');
    }
    disk.tamper(&path, Some(bytes));
}

/// Removes log and snapshots. What stands in `facts/` is not on this disk.
pub(crate) fn lose_log(disk: &FakeDisk) {
    for path in disk.paths() {
        disk.tamper(&path, None);
    }
}

impl Cluster {
    /// Sets a key that is there for good.
    pub(crate) async fn set_stone(&self) {
        let (db, key) = STONE;
        loop {
            if let Some(running) = self.leader().and_then(|at| self.running(at)) {
                let run = super::clients::command(db, &["SET", key, &"stone".repeat(20)]);
                let answer =
                    SimRt::timeout(Duration::from_secs(5), running.replica.submit(run)).await;
                if let Ok(Ok(crate::api::Answer::Replies(_, _))) = answer {
                    return;
                }
            }
            SimRt::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Flips a bit in the memory of one replica, and waits until it was replaced.
    pub(crate) async fn flip(&self, random: &mut Random, at: usize) -> Result<(), Wrong> {
        self.net.heal();
        let Some(running) = self.running(at) else { return Ok(()) };
        let ((db, key), bit) = (STONE, random.below(800));
        let flipped = async {
            // One that is behind may be given a snapshot, and the bit is whole again.
            while running.replica.read().await.is_err() {}
            while !running.replica.flip_bit(Db(db), key.as_bytes(), bit).await {
                SimRt::sleep(Duration::from_millis(20)).await;
            }
        };
        if SimRt::timeout(FOUND_MAX, flipped).await.is_err() {
            return Err(format!("n{at} never came to have the stone").into());
        }
        self.checks.note(&format!("a bit of {} flips", running.name));
        let node = running.node;
        let replaced = async {
            while self.running(at).is_none_or(|running| running.node == node) {
                SimRt::sleep(Duration::from_millis(20)).await;
            }
            self.let_in(at).await;
        };
        let found = SimRt::timeout(FOUND_MAX, replaced).await;
        found.map_err(|_| format!("n{at} holds something else, and is not found out").into())
    }

    /// A host's log is gone, or its end; it refuses to start and is replaced.
    pub(crate) async fn hurt_disk(&self, random: &mut Random, at: usize) -> Result<(), Wrong> {
        self.net.heal();
        self.kill(at, false);
        let Some(disk) = self.disk(at) else { return Ok(()) };
        let what = random.below(3);
        match what {
            0 => lose_log(&disk),
            1 => damage_end(&disk, End::Zeroed, false),
            _ => damage_end(&disk, End::Cut, false),
        }
        self.checks.note(&format!("n{at}: its disk is hurt, way {what}"));
        match self.start(at).await {
            // A snapshot's end may be all that was there.
            Ok(()) => return Ok(()),
            Err(why) if why.is_refusal() => self.checks.note(&why.to_string()),
            Err(why) => return Err(why),
        }
        self.replace(at).await?;
        let joined = SimRt::timeout(FOUND_MAX, self.let_in(at)).await;
        joined.map_err(|_| format!("n{at} is not let in within {FOUND_MAX:?}").into())
    }

    /// Sends what no replica of this cluster would. None of it may have an effect.
    pub(crate) async fn forge(&self, random: &mut Random, at: usize) -> Result<(), Wrong> {
        // A replica that reaches none of the others believes whoever is ahead of it: see `trust`.
        self.net.heal();
        let Some(running) = self.running(at) else { return Ok(()) };
        if !running.replica.is_member(running.node) {
            // It is being let in, and takes whoever does that.
            return Ok(());
        }
        let host = Self::name(at);
        self.checks.note(&format!("forged messages to {host}"));
        let transport = SimTransport { net: self.net.clone(), address: "x".to_owned() };
        let to = PeerId { node: running.node, address: host.clone() };
        let member = (0..HOSTS).filter(|other| *other != at).find_map(|at| self.running(at));
        let status = running.replica.status();
        let (term, last) = (status.term, status.last_log_index);
        let stranger = self.envelope(0xbad, running.node);
        let known = self.envelope(member.map_or(0xbad, |it| it.node), running.node);
        let vote = |term| Some(pb::Vote { term, voted_for: 0xbad, committed: false });
        let id = Some(pb::LogId { term: term + 1, index: last + 5 });
        let requests = [
            (stranger.clone(), vote(term + 3)),
            (known.clone(), vote(u64::MAX - 1)),
            (pb::Envelope { incarnation: u64::MAX, start: 1, ..known.clone() }, vote(u64::MAX - 1)),
        ];
        let requests = requests.map(|(envelope, vote)| {
            let envelope = Some(envelope);
            let pre_vote = random.one_in(2);
            pb::VoteRequest { envelope, vote, last: id, leadership_transfer: true, pre_vote }
        });
        for request in requests {
            self.refused(&transport.call(&to, Request::Vote(request)).await.map(drop), &host);
        }
        let entry = pb::Entry {
            term: term + 1,
            index: last + 1,
            kind: pb::EntryKind::Commands.into(),
            now_ms: 1,
            seed: 4,
            payload: Bytes::from_static(b"*3\r\n$3\r\nSET\r\n$6\r\nforged\r\n$1\r\n1\r\n"),
            ..Default::default()
        };
        let append = pb::AppendRequest {
            envelope: Some(stranger),
            vote: Some(pb::Vote { term: term + 1, voted_for: 0xbad, committed: true }),
            prev: Some(pb::LogId { term, index: last }),
            committed: Some(pb::LogId { term: term + 1, index: last + 1 }),
            entries: vec![entry],
            ..Default::default()
        };
        let stream = stream::once(async { append }).boxed();
        let answered = match transport.append_stream(&to, stream).await {
            Ok(mut answers) => answers
                .next()
                .await
                .unwrap_or_else(|| Err(TransportError::Refused("the stream was ended".to_owned()))),
            Err(error) => Err(error),
        };
        self.refused(&answered.map(drop), &host);
        Ok(())
    }

    fn refused(&self, outcome: &Result<(), TransportError>, host: &str) {
        if outcome.is_ok() {
            self.checks.fail(format!("{host} took a forged message"));
        }
    }
}
