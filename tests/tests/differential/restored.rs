//! The same log on two engines, of which one comes from a snapshot of the other made on the way:
//! nobody may ever be able to tell them apart.

use crate::Task;
use crate::engine::{names, run as run_of, settings};
use crate::shrink::shrink;
use quorate_engine::{
    Applied, Checksum, Decoded, Keyspace, Run, SealLimits, SnapshotFacts, SnapshotReader, Stamp,
    Waiting, apply, cmd, decode, rehearse, seal,
};
use quorate_resp::{Limits, Parser, Proto};
use quorate_tests::generate::{Command, Maker};
use quorate_tests::random::Random;
use quorate_tests::script;
use std::fmt::Write;

const START_MS: u64 = 1_900_000_000_000;

/// Runs the trails of a task; panics with a transcript if one shows a difference.
pub(crate) fn run(task: Task) {
    let ours = names();
    let knows = |words: &[String]| {
        let both = words.get(..2).map(|words| words.join(" "));
        words.first().is_some_and(|name| ours.contains(name))
            || both.is_some_and(|name| ours.contains(&name))
    };
    for (seed, length) in task.trails() {
        let mut maker = Maker::new(seed, task.family, &knows);
        if task.family.is_some_and(|family| !maker.has_its_family(family)) {
            println!("{}: the engine has none of its commands yet", task.name);
            return;
        }
        let mut random = Random::new(seed);
        let mut trail: Vec<Command> = Vec::with_capacity(length + length / 8);
        for _ in 0..length {
            trail.push(maker.make());
            // Time is the test's own here, so that keys may expire.
            if random.chance(1, 15)
                && let Some(key) = random.pick(&trail).get(1).cloned()
            {
                let ms = random.below(300).to_string().into_bytes();
                trail.push(vec![b"PEXPIRE".to_vec(), key, ms]);
            }
        }
        if let Err(difference) = live(task, seed, &trail) {
            let whole = trail.len();
            let least = shrink(trail, &mut |trail| live(task, seed, trail).is_err());
            let difference = live(task, seed, &least).err().unwrap_or(difference);
            let mut text = format!("\n{} of {whole} commands are enough\n\n", least.len());
            for command in &least {
                let _ = writeln!(text, "> {}", script::line(command));
            }
            panic!("{text}{difference}\nagain: {}\n", task.again(" --restored", seed));
        }
    }
}

/// An engine that leads, and the replica that a snapshot of it becomes.
struct World {
    leader: Keyspace,
    /// The snapshot on its way: its bytes, and the entries behind it.
    pieces: Vec<u8>,
    behind: Vec<(Applied, Vec<u8>)>,
    /// The replica, once the snapshot is whole.
    replica: Option<Keyspace>,
    random: Random,
    now_ms: u64,
    index: u64,
}

/// Runs a trail, a snapshot somewhere in it.
fn live(task: Task, seed: u64, trail: &[Command]) -> Result<(), String> {
    // Nothing is frozen on the way of nothing, and that is no difference.
    if trail.is_empty() {
        return Ok(());
    }
    let mut leader = Keyspace::new([seed, 7]);
    for (name, value) in settings(seed) {
        leader.set_setting(name, value).map_err(|error| format!("{name}: {error:?}"))?;
    }
    let mut world = World {
        leader,
        pieces: Vec::new(),
        behind: Vec::new(),
        replica: None,
        random: Random::new(seed ^ 0x5eed),
        now_ms: START_MS,
        index: 0,
    };
    // The same place whatever the trail's length, or shrinking would move it.
    let part = Random::new(seed).below(task.trail * 2 / 3) as u128 * trail.len() as u128;
    let cut = (part / task.trail as u128) as usize;
    for (number, command) in trail.iter().enumerate() {
        if number == cut {
            world.leader.freeze(&SnapshotFacts::default()).ok_or("no freeze began")?;
        }
        world.step(command)?;
    }
    while world.leader.frozen().is_some() {
        world.freeze_step()?;
    }
    world.compare_all()
}

impl World {
    fn step(&mut self, command: &Command) -> Result<(), String> {
        self.now_ms += self.random.below(40) as u64;
        let proto = if self.random.chance(1, 2) { Proto::Resp2 } else { Proto::Resp3 };
        let run = run_of(0, proto, std::slice::from_ref(command));
        if is_read(command) {
            return self.read(run, command);
        }
        let stamp = Stamp { now_ms: self.now_ms, seed: self.random.number() };
        let limits = SealLimits { refuse_writes: None, expire_max: 1 };
        let runs = [run];
        let mut sealed = seal(&self.leader, &runs, &stamp, &limits);
        if sealed.taken == 0 {
            let nobody = &mut Waiting::default();
            sealed = rehearse(&mut self.leader, nobody, &runs, &stamp, &limits).0;
        }
        if sealed.payload.is_empty() {
            return Ok(());
        }
        self.index += 1;
        let at = Applied { index: self.index, stamp };
        let failed = |why: &str| format!("{}: {why}", script::line(command));
        apply(&mut self.leader, at, &sealed.payload, Some(&sealed.plan))
            .map_err(|error| failed(&format!("{error:?}")))?;
        match &mut self.replica {
            Some(replica) => {
                apply(replica, at, &sealed.payload, None)
                    .map_err(|error| failed(&format!("on the replica: {error:?}")))?;
                if self.leader.digest() != replica.digest() {
                    return Err(failed("the digests differ behind it"));
                }
            }
            None if self.leader.frozen().is_some() => {
                self.behind.push((at, sealed.payload.to_vec()));
                self.freeze_step()?;
            }
            None => {}
        }
        Ok(())
    }

    /// A read answers the same on both, for the same seed, whatever it draws.
    fn read(&mut self, run: Run, command: &Command) -> Result<(), String> {
        let Some(replica) = &self.replica else { return Ok(()) };
        let stamp = Stamp { now_ms: self.now_ms, seed: 0 };
        let sealed = seal(&self.leader, &[run], &stamp, &SealLimits::default());
        if !is_only_time(&sealed.payload) {
            return Ok(());
        }
        let seed = self.random.number();
        let ours = sealed.plan.answer(&self.leader, seed);
        let theirs = sealed.plan.answer(replica, seed);
        if ours == theirs {
            return Ok(());
        }
        Err(format!("> {}\nleader:  {ours:?}\nreplica: {theirs:?}", script::line(command)))
    }

    fn freeze_step(&mut self) -> Result<(), String> {
        let frozen = self.leader.frozen().ok_or("no freeze runs")?;
        let step = self.leader.freeze_step(frozen, 1, &mut || false).ok_or("the freeze is gone")?;
        for piece in &step.pieces {
            piece.write(&mut |bytes| self.pieces.extend_from_slice(bytes));
        }
        if !step.done {
            return Ok(());
        }
        let mut checksum = Checksum::default();
        checksum.update(&self.pieces);
        self.pieces.extend_from_slice(&checksum.finish());
        let mut reader = SnapshotReader::new([0, 0]);
        reader.feed(&self.pieces).map_err(|error| format!("the snapshot: {error:?}"))?;
        let (mut replica, _) =
            reader.finish().map_err(|error| format!("the snapshot: {error:?}"))?;
        for (at, payload) in self.behind.drain(..) {
            apply(&mut replica, at, &payload, None).map_err(|error| format!("{error:?}"))?;
        }
        if self.leader.digest() != replica.digest() {
            return Err("the digests differ when the snapshot is read".into());
        }
        self.replica = Some(replica);
        Ok(())
    }

    /// Everything both show of every key, and their own snapshots, byte for byte.
    fn compare_all(&mut self) -> Result<(), String> {
        for db in 0..3 {
            let mut keys = Vec::new();
            let reader = quorate_engine::Reader {
                keyspace: &self.leader,
                db: quorate_engine::Db(db),
                seed: 0,
                clock_ms: 0,
            };
            reader.keys(&mut |key| keys.push(key.to_vec()));
            let mut reads = vec![vec![b"KEYS".to_vec(), b"*".to_vec()]];
            for key in &keys {
                let words = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect();
                reads.push(words(&[b"DUMP", key]));
                reads.push(words(&[b"OBJECT", b"ENCODING", key]));
                reads.push(words(&[b"MEMORY", b"USAGE", key]));
                reads.push(words(&[b"PEXPIRETIME", key]));
            }
            for read in &reads {
                self.read(run_of(db, Proto::Resp3, std::slice::from_ref(read)), read)?;
            }
        }
        let Some(replica) = &self.replica else { return Err("no replica came to be".into()) };
        let bytes = |keyspace: &Keyspace| {
            let mut bytes = Vec::new();
            let sink = &mut |piece: &[u8]| bytes.extend_from_slice(piece);
            keyspace.write_snapshot(&SnapshotFacts::default(), sink);
            bytes
        };
        if bytes(&self.leader) != bytes(replica) {
            return Err("their snapshots differ".into());
        }
        Ok(())
    }
}

/// Whether a payload holds no commands but expiries, which a read does not need.
fn is_only_time(payload: &[u8]) -> bool {
    let is_write = |decoded| matches!(decoded, Ok(Decoded::Command(_, _, false)));
    !decode(payload).any(is_write)
}

fn is_read(command: &Command) -> bool {
    let mut bytes = bytes::BytesMut::new();
    quorate_resp::write_command(&mut bytes, command.iter().map(Vec::as_slice));
    let mut parser = Parser::default();
    let parsed = parser.parse(&bytes, &Limits::stored());
    let row = parsed.is_ok().then(|| cmd::resolve(parser.args(&bytes))).flatten();
    row.is_some_and(|spec| !spec.run.of(parser.args(&bytes)).is_write())
}
