//! What is known of the way to each peer: whether the entries sent to it move, and how long a round
//! trip takes.
//!
//! Heartbeats travel on a connection of their own, so they pass where entries do not (a path that
//! loses large packets, a hung disk, a stream that stands still). A leader that went on sending
//! them would keep its office and commit nothing. So a heartbeat goes only to who takes entries, or
//! has none to take: otherwise the followers stop hearing of the leader and elect another.
//!
//! Round trips are measured with every heartbeat and every call for a vote, also with those that
//! openraft no longer waits for. The one to the nearest quorum is what a commit needs; time-outs
//! follow it (`pace`). The leader tells its followers, who would otherwise know none.

use crate::env::Env;
use crate::lock::lock;
use crate::peer::pace::{PACE_MAX, REAL};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A stream on which nothing moves for so long is broken off. A hung stream would hold back
/// purging.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(3);
/// A peer whose entries do not move for so long hears no heartbeats: three tries and the pauses
/// between them.
const STALL_MAX: Duration = Duration::from_secs(12);
/// Bytes a second that every path and disk manages: 32 Mbit/s. Where progress does not show (an
/// older peer, a sync), so much longer is waited.
const FLOOR_BYTES: u64 = 4 << 20;

/// How long so many bytes may take where nothing shows how far they are.
pub(crate) fn grace(bytes: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1000) / FLOOR_BYTES)
}

/// A round trip counts as the least of those in so long a time: what is longer waited for the
/// processor or the disk, and a busy machine is no slow link.
const SAMPLE: Duration = Duration::from_millis(500);
/// Peers that did not answer for so long are not counted on.
const LIVE: Duration = Duration::from_secs(5);

/// Time-outs are stretched in steps of so many hundredths,
const STRETCH_STEP: u32 = 25;
/// and calls are given more in steps of so many milliseconds.
const CALL_STEP_MS: u64 = 10;
/// No leader is believed a longer round trip.
const ROUND_TRIP_MS_MAX: u32 = 10_000;

/// A peer that has not answered for so long is told of. Whoever restarts is back before.
const MISSED: Duration = Duration::from_secs(1);

/// See the module. Written by `network`.
#[derive(Debug, Default)]
pub(crate) struct Links {
    waiting: Mutex<BTreeMap<u64, Waiting>>,
    trips: Mutex<BTreeMap<u64, Trips>>,
    /// Since when peers do not answer, and whether that was told.
    lost: Mutex<BTreeMap<u64, (Duration, bool)>>,
    /// Whose disks are full, as they said with their last heartbeats.
    full: Mutex<BTreeSet<u64>>,
    /// Which feature level they support, as they said then.
    levels: Mutex<BTreeMap<u64, u64>>,
    /// The one to a quorum, microseconds: measured by the leader, heard by the others.
    round_trip_us: AtomicU64,
    /// Raft's clock as it was set: hundredths, and the round trip that calls are given.
    pace: Mutex<(u32, Duration)>,
    /// Greatest lateness of a heartbeat that this process sent.
    late_ms_max: AtomicU64,
}

/// Round trips to one peer.
#[derive(Clone, Copy, Debug)]
struct Trips {
    /// When the present sample began.
    begun: Duration,
    /// When the last one ended; none has yet.
    last: Option<Duration>,
    /// The least in the present sample and in the one before.
    least: (Duration, Duration),
    /// A call that nobody waits for any more is measured: one at a time is enough.
    straggles: bool,
}

/// Entries that a peer has not answered.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// The leader's term: what an earlier term sent says nothing now.
    term: u64,
    /// Since when nothing moves.
    since: Duration,
    bytes: u64,
}

impl Links {
    /// Entries go out in `term`; so many bytes are now unanswered.
    pub(crate) fn sent(&self, node: u64, term: u64, (now, bytes): (Duration, u64)) {
        let mut waiting = lock(&self.waiting);
        let waits = waiting.entry(node).or_insert(Waiting { term, since: now, bytes });
        if waits.term != term {
            *waits = Waiting { term, since: now, bytes };
        }
        waits.bytes = bytes;
    }

    /// A part of what waits has arrived.
    pub(crate) fn moved(&self, node: u64, now: Duration) {
        if let Some(waits) = lock(&self.waiting).get_mut(&node) {
            waits.since = now;
        }
    }

    /// Nothing waits for this peer, or it waits elsewhere (a snapshot).
    pub(crate) fn idle(&self, node: u64) {
        lock(&self.waiting).remove(&node);
    }

    /// Whether entries of `term` wait for this peer and do not move.
    pub(crate) fn stalled(&self, node: u64, term: u64, now: Duration) -> bool {
        let waiting = lock(&self.waiting);
        let Some(waits) = waiting.get(&node).filter(|waits| waits.term == term) else {
            return false;
        };
        now > waits.since + STALL_MAX + grace(waits.bytes)
    }
}

impl Links {
    /// A peer has not answered. Whether that is to be told, now for the first time.
    pub(crate) fn missed(&self, node: u64, now: Duration) -> bool {
        let mut lost = lock(&self.lost);
        let (since, told) = lost.entry(node).or_insert((now, false));
        let tell = !*told && now >= *since + MISSED;
        *told |= tell;
        tell
    }

    /// A peer has answered. For how long it had not, if that was told.
    pub(crate) fn found(&self, node: u64, now: Duration) -> Option<Duration> {
        let (since, told) = lock(&self.lost).remove(&node)?;
        told.then(|| now.saturating_sub(since))
    }

    /// A peer says which feature level it supports.
    pub(crate) fn note_level(&self, node: u64, level: u64) {
        lock(&self.levels).insert(node, level);
    }

    /// Whether all of these support a feature level, as they said last.
    pub(crate) fn support(&self, mut nodes: impl Iterator<Item = u64>, level: u64) -> bool {
        let known = lock(&self.levels);
        nodes.all(|node| known.get(&node).is_some_and(|supported| *supported >= level))
    }

    /// A peer says whether its disk is full.
    pub(crate) fn note_full(&self, node: u64, full: bool) {
        let mut known = lock(&self.full);
        if full {
            known.insert(node);
        } else {
            known.remove(&node);
        }
    }

    /// Whether a peer's disk has space, as far as is known.
    pub(crate) fn has_space(&self, node: u64) -> bool {
        !lock(&self.full).contains(&node)
    }
}

impl Links {
    /// A call to a peer has taken so long.
    pub(crate) fn measured(&self, node: u64, now: Duration, took: Duration) {
        let mut trips = lock(&self.trips);
        let least = (took, took);
        let of = Trips { begun: now, last: None, least, straggles: false };
        let trips = trips.entry(node).or_insert(of);
        if now > trips.begun + SAMPLE {
            trips.least = (took, trips.least.0);
            trips.begun = now;
        }
        trips.least.0 = trips.least.0.min(took);
        trips.last = Some(now);
    }

    /// Whether a call that nobody waits for should be measured; then [`Links::caught`] follows.
    pub(crate) fn straggles(&self, node: u64, now: Duration) -> bool {
        let mut trips = lock(&self.trips);
        let least = (Duration::MAX, Duration::MAX);
        let of = Trips { begun: now, last: None, least, straggles: false };
        let trips = trips.entry(node).or_insert(of);
        !std::mem::replace(&mut trips.straggles, true)
    }

    /// The straggler has come, or never will.
    pub(crate) fn caught(&self, node: u64) {
        if let Some(trips) = lock(&self.trips).get_mut(&node) {
            trips.straggles = false;
        }
    }

    /// The round trip to the nearest peers that make a majority of `voters` together with this
    /// replica, as far as they answer.
    pub(crate) fn to_quorum(&self, voters: usize, now: Duration) -> Option<Duration> {
        let trips = lock(&self.trips);
        let live = trips.values().filter(|trips| trips.last.is_some_and(|last| now < last + LIVE));
        let mut live: Vec<_> = live.map(|trips| trips.least.0.min(trips.least.1)).collect();
        live.sort_unstable();
        live.get((voters / 2).checked_sub(1)?).copied()
    }

    /// Notes the round trip to a quorum.
    pub(crate) fn set_round_trip(&self, round_trip: Duration) {
        let micros = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
        self.round_trip_us.store(micros, Ordering::Relaxed);
    }

    /// The round trip to a quorum.
    pub(crate) fn round_trip(&self) -> Duration {
        Duration::from_micros(self.round_trip_us.load(Ordering::Relaxed))
    }
}

/// Hundredths by which time-outs must be stretched for a round trip. A leader sends a heartbeat
/// when the last one is answered, and at every interval; so what it knows of its followers is two
/// round trips and one interval old at most, and must be younger than the election time-out, which
/// is its lease. A quarter is left for what delays a message now and then. In steps, since every
/// change moves all timers a little.
fn stretch(round_trip: Duration, heartbeat: Duration, election_max: Duration) -> u32 {
    let room = election_max.saturating_sub(heartbeat * 5 / 4) * 3 / 8;
    let room = room.max(Duration::from_millis(1));
    let hundredths = round_trip.as_micros() * 100 / room.as_micros();
    let steps = hundredths.div_ceil(STRETCH_STEP.into()) * u128::from(STRETCH_STEP);
    u32::try_from(steps).unwrap_or(u32::MAX).clamp(REAL, PACE_MAX)
}

impl Links {
    /// Measures the round trip to a quorum of so many voters and lets time-outs follow it; called
    /// again and again.
    pub(crate) fn keep_pace<E: Env>(
        &self,
        env: &E,
        (voters, leads): (usize, bool),
        (heartbeat, election_max): (Duration, Duration),
    ) {
        let (measured, known) = (self.to_quorum(voters, env.elapsed()), self.round_trip());
        let round_trip = match measured {
            Some(measured) if leads => measured,
            // Whoever calls for votes measures, too; what a leader told holds until the next does.
            Some(measured) => measured.max(known),
            None => known,
        };
        self.set_round_trip(round_trip);
        let stretch = stretch(round_trip, heartbeat, election_max);
        let ms = u64::try_from(round_trip.as_millis()).unwrap_or(u64::MAX);
        let pace = (stretch, Duration::from_millis(ms / CALL_STEP_MS * CALL_STEP_MS));
        let before = std::mem::replace(&mut *lock(&self.pace), pace);
        if before != pace {
            env.set_pace(pace.0, pace.1);
        }
        if before.0.max(REAL) != stretch {
            tracing::info!(
                round_trip_ms = ms,
                percent = stretch,
                "time-outs follow the round trip"
            );
        }
    }

    /// The leader told how long its round trip to a quorum is.
    pub(crate) fn hear_round_trip(&self, ms: u32) {
        self.set_round_trip(Duration::from_millis(ms.min(ROUND_TRIP_MS_MAX).into()));
    }

    /// The round trip to a quorum in milliseconds, as it stands in messages.
    pub(crate) fn round_trip_ms(&self) -> u32 {
        u32::try_from(self.round_trip().as_millis()).unwrap_or(u32::MAX)
    }

    /// A time of Raft's, as long as it really takes.
    pub(crate) fn paced(&self, time: Duration) -> Duration {
        time * lock(&self.pace).0.max(REAL) / REAL
    }

    /// A heartbeat was sent so late.
    pub(crate) fn note_late(&self, late: Duration) {
        let late = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
        self.late_ms_max.fetch_max(late, Ordering::Relaxed);
    }

    /// Greatest lateness of a heartbeat, milliseconds.
    pub(crate) fn late_ms_max(&self) -> u64 {
        self.late_ms_max.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_do_not_move_are_noticed_and_only_in_their_term() {
        let links = Links::default();
        let at = Duration::from_secs;
        links.sent(1, 5, (at(100), 0));
        assert!(!links.stalled(1, 5, at(100) + STALL_MAX));
        assert!(links.stalled(1, 5, at(101) + STALL_MAX));
        assert!(!links.stalled(1, 6, at(999)));
        assert!(!links.stalled(2, 5, at(999)));
        // Sending more is no progress.
        links.sent(1, 5, (at(110), 0));
        assert!(links.stalled(1, 5, at(101) + STALL_MAX));
        links.moved(1, at(110));
        assert!(!links.stalled(1, 5, at(110) + STALL_MAX));
        // A new term begins anew.
        links.sent(1, 6, (at(200), 0));
        assert!(!links.stalled(1, 6, at(200) + STALL_MAX));
        links.idle(1);
        assert!(!links.stalled(1, 6, at(999)));
    }

    #[test]
    fn a_round_trip_is_the_least_of_a_while_and_to_the_nearest_quorum() {
        let links = Links::default();
        let ms = Duration::from_millis;
        assert_eq!(links.to_quorum(3, ms(0)), None);
        for at in 0..20 {
            links.measured(1, ms(10_000 + at * 75), ms(if at % 5 == 0 { 3 } else { 90 }));
            links.measured(2, ms(10_000 + at * 75), ms(200));
        }
        assert_eq!(links.to_quorum(3, ms(11_500)), Some(ms(3)));
        assert_eq!(links.to_quorum(5, ms(11_500)), Some(ms(200)));
        assert_eq!(links.to_quorum(7, ms(11_500)), None);
        assert_eq!(links.to_quorum(1, ms(11_500)), None);
        // It became slow: two samples later that is known.
        for at in 0..20 {
            links.measured(1, ms(12_000 + at * 75), ms(90));
        }
        assert_eq!(links.to_quorum(3, ms(13_500)), Some(ms(90)));
        // The near one is gone.
        links.measured(2, ms(20_000), ms(200));
        assert_eq!(links.to_quorum(3, ms(20_000)), Some(ms(200)));
    }

    #[test]
    fn time_outs_follow_the_round_trip() {
        let check = |(heartbeat, election_max), round_trip, percent| {
            let ms = Duration::from_millis;
            assert_eq!(stretch(ms(round_trip), ms(heartbeat), ms(election_max)), percent);
        };
        let (lan, wan) = ((75, 400), (300, 2500));
        for (round_trip, percent) in [(0, 100), (40, 100), (100, 100), (200, 175), (400, 350)] {
            check(lan, round_trip, percent);
        }
        for (round_trip, percent) in [(0, 100), (400, 100), (790, 100), (1600, 200)] {
            check(wan, round_trip, percent);
        }
        check(lan, u64::MAX / 1_000_000, PACE_MAX);
        check((400, 400), 1, 100);
    }

    #[test]
    fn one_straggler_at_a_time_and_none_counts_before_it_came() {
        let links = Links::default();
        let at = Duration::from_secs(100);
        assert!(links.straggles(1, at));
        assert!(!links.straggles(1, at));
        assert_eq!(links.to_quorum(3, Duration::ZERO), None);
        links.caught(1);
        links.measured(1, at, Duration::from_secs(1));
        assert_eq!(links.to_quorum(3, at), Some(Duration::from_secs(1)));
        assert!(links.straggles(1, at));
    }

    #[test]
    fn a_lost_peer_is_told_of_once_and_so_is_its_return() {
        let (links, ms) = (Links::default(), Duration::from_millis);
        assert_eq!(links.found(1, ms(0)), None);
        // A restart is none of it.
        assert!(!links.missed(1, ms(10_000)) && !links.missed(1, ms(10_900)));
        assert_eq!(links.found(1, ms(10_950)), None);
        let told = (0..1000).filter(|at| links.missed(1, ms(20_000 + at * 75)));
        assert_eq!(told.count(), 1);
        assert!(!links.missed(2, ms(95_000)));
        assert_eq!(links.found(1, ms(95_000)), Some(ms(75_000)));
        assert_eq!(links.found(1, ms(95_075)), None);
    }

    #[test]
    fn large_entries_may_take_longer() {
        let links = Links::default();
        let bytes = 60 << 20;
        links.sent(1, 5, (Duration::ZERO, bytes));
        assert_eq!(grace(bytes), Duration::from_secs(15));
        assert!(!links.stalled(1, 5, STALL_MAX + grace(bytes)));
        assert!(links.stalled(1, 5, STALL_MAX + grace(bytes) + Duration::from_millis(1)));
    }
}
