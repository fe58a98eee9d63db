//! The log against a model, with crashes at random and at every single disk operation.

use super::*;
use crate::Snapshots;
use std::collections::BTreeMap;

/// What a log must hold. `durable` is what was acknowledged; what came later may or may not be
/// there.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    vote: Option<Vote>,
    purged: Option<LogId>,
    last: Option<LogId>,
    entries: BTreeMap<u64, Entry>,
}

impl Model {
    fn truncate(&mut self, after: Option<LogId>) {
        let floor = after.max(self.purged);
        if self.last > floor {
            self.last = floor;
            self.entries.retain(|index, _| floor.is_some_and(|floor| *index <= floor.index));
        }
    }

    fn purge(&mut self, upto: LogId) {
        if self.purged < Some(upto) {
            self.purged = Some(upto);
            self.last = self.last.max(Some(upto));
            self.entries.retain(|index, _| *index > upto.index);
        }
    }

    fn append(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.last = Some(entry.id);
            self.entries.insert(entry.id.index, entry.clone());
        }
    }
}

fn next(random: &mut u64, below: u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    (*random >> 11) % below
}

/// A run of random operations. Keeps every state since the last acknowledged one: a crash may leave
/// any of them.
struct Run {
    disk: FakeDisk,
    log: Log<FakeDisk>,
    snapshots: Snapshots<FakeDisk>,
    random: u64,
    term: u64,
    now: Model,
    possible: Vec<Model>,
    inexact: u64,
}

impl Run {
    fn start(seed: u64) -> Self {
        let disk = FakeDisk::new(seed);
        let (log, _) = open(&disk);
        let snapshots = Snapshots::open(disk.clone()).expect("a fresh directory");
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let now = Model::default();
        Self { disk, log, snapshots, random, term: 1, possible: vec![now.clone()], now, inexact: 0 }
    }

    fn draw(&mut self, below: u64) -> u64 {
        next(&mut self.random, below)
    }

    fn changed(&mut self) {
        self.possible.push(self.now.clone());
    }

    fn acknowledged(&mut self) {
        self.possible = vec![self.now.clone()];
    }

    fn fresh(&mut self) -> Vec<Entry> {
        let first = self.now.last.map_or(1, |last| last.index + 1);
        let count = 1 + self.draw(4);
        let mut entries = entries(self.term, first..=first + count - 1);
        match self.draw(12) {
            0 => entries[0] = Entry { kind: EntryKind::Cut, payload: Bytes::new(), ..entries[0] },
            1 => entries[0].kind = EntryKind::Membership,
            2 => entries[0].payload = vec![b'#'; 9000].into(),
            3 => entries[0] = Entry { kind: EntryKind::Blank, payload: Bytes::new(), ..entries[0] },
            _ => {}
        }
        entries
    }

    /// One random operation; an error means that the power is gone.
    fn step(&mut self) -> Result<(), StoreError> {
        match self.draw(16) {
            0..=5 => {
                let entries = self.fresh();
                for entry in &entries {
                    self.now.append(std::slice::from_ref(entry));
                    self.changed();
                }
                self.log.append(entries, None)?;
            }
            6..=8 => {
                self.log.flush()?;
                self.acknowledged();
            }
            9 => {
                self.term += 1;
                let vote = Vote { term: self.term, voted_for: self.draw(3), committed: false };
                self.now.vote = Some(vote);
                self.changed();
                self.log.save_vote(vote, Box::new(|_| ()))?;
            }
            10 => {
                // What a snapshot covers is committed, so nobody truncates it.
                let covered = self.snapshots.newest().map(|newest| newest.last);
                let floor =
                    self.now.purged.map(|purged| LogId { index: purged.index + 1, ..purged });
                let floor = floor.max(covered).map_or(1, |floor| floor.index);
                let last = self.now.last.map_or(0, |last| last.index);
                let after = floor + self.draw(last.saturating_sub(floor) + 1);
                let after = self.now.entries.get(&after).map(|entry| entry.id);
                if after.is_some() {
                    self.term += 1;
                    self.now.truncate(after);
                    self.changed();
                    self.log.truncate_after(after)?;
                    self.acknowledged();
                }
            }
            11 => {
                if let Some(last) = self.now.last {
                    self.log.save_committed(last)?;
                }
                self.log.write_marks()?;
                self.acknowledged();
            }
            12 => {
                self.log.prepare()?;
            }
            13 => self.snapshot(false)?,
            14 => self.snapshot(true)?,
            _ => {
                self.inexact += 1;
                self.log.mark_inexact(self.now.last.map_or(1, |last| last.index))?;
            }
        }
        Ok(())
    }

    /// A snapshot of our own, or one that is installed and may lie beyond our log.
    fn snapshot(&mut self, install: bool) -> Result<(), StoreError> {
        let newest = self.snapshots.newest().map(|newest| newest.last);
        let held = self.now.entries.values().map(|entry| entry.id);
        let held: Vec<LogId> = held.filter(|id| Some(*id) >= newest).collect();
        let beyond = self.now.last.map_or(0, |last| last.index) + 10;
        let last = if install && self.draw(2) == 0 {
            LogId { term: self.term, index: beyond }
        } else if held.is_empty() {
            return Ok(());
        } else {
            held[self.draw(held.len() as u64) as usize]
        };
        let bytes = vec![b'r'; 1 + self.draw(2000) as usize];
        self.snapshots.write(&self.log, last, &mut |sink| sink(&bytes))?;
        self.acknowledged();
        let newest = self.snapshots.newest().expect("just written");
        assert_eq!((newest.last, newest.bytes), (last, bytes.len() as u64));
        assert_eq!(self.snapshots.read(&newest).expect("just written"), bytes);
        self.now.purge(last);
        self.changed();
        self.log.purge(last)?;
        Ok(())
    }

    fn compare(&self) {
        assert_eq!(seen(&self.log), self.now);
    }

    /// After a crash: one of the possible states, none of it older than what was acknowledged.
    fn reopen(&mut self) {
        let (log, found) = open(&self.disk);
        let got = seen(&log);
        assert_eq!((found.vote, found.purged, found.last), (got.vote, got.purged, got.last));
        let at = self.possible.iter().rposition(|state| *state == got);
        assert!(at.is_some(), "found {got:#?}\nknown {:#?}", self.possible);
        let snapshots = Snapshots::open(self.disk.clone()).expect("a readable catalogue");
        for file in snapshots.all() {
            snapshots.read(&file).expect("a listed snapshot is whole");
        }
        exact(&self.disk, &got, snapshots.newest().map(|file| file.last));
        (self.log, self.snapshots, self.now) = (log, snapshots, got);
        self.acknowledged();
        // A snapshot was installed and its purge was lost: whoever starts a replica repeats it.
        if let Some(newest) =
            self.snapshots.newest().filter(|newest| Some(newest.last) > self.now.last)
        {
            self.now.purge(newest.last);
            self.log.purge(newest.last).expect("the power is on");
            self.log.flush().expect("the power is on");
            self.acknowledged();
        }
    }
}

fn seen(log: &Log<FakeDisk>) -> Model {
    let (purged, last) = log.bounds();
    let entries = all(log).into_iter().map(|entry| (entry.id.index, entry)).collect();
    Model { vote: log.vote(), purged, last, entries }
}

/// The append-only file holds each entry behind its base once, and no other.
fn exact(disk: &FakeDisk, model: &Model, base: Option<LogId>) {
    let manifest = disk.contents("appendonlydir/quorate.aof.manifest").expect("there is one");
    let manifest = String::from_utf8(manifest).expect("text");
    let mut text = Vec::new();
    for line in manifest.lines().filter(|line| line.starts_with("file ")) {
        let name = line.split(' ').nth(1).expect("a name");
        let bytes = disk.contents(&format!("appendonlydir/{name}")).expect("listed files exist");
        if name.ends_with(".incr.aof") {
            let lines = bytes.split_inclusive(|&byte| byte == b'\n');
            lines
                .filter(|line| !line.starts_with(b"#"))
                .for_each(|line| text.extend_from_slice(line));
        }
    }
    let behind = base.map_or(0, |base| base.index + 1);
    let commands = model.entries.range(behind..).map(|(_, entry)| entry);
    let commands = commands.filter(|entry| entry.kind == EntryKind::Commands);
    let want: Vec<u8> = commands
        .filter(|entry| !entry.payload.starts_with(b"#"))
        .flat_map(|entry| entry.payload.to_vec())
        .collect();
    assert_eq!(String::from_utf8_lossy(&text), String::from_utf8_lossy(&want));
}

#[test]
fn random_runs_with_crashes_hold_what_they_acknowledged() {
    for seed in 1..=60 {
        let mut run = Run::start(seed);
        for _ in 0..6 {
            for _ in 0..run.draw(40) {
                run.step().expect("the power is on");
                run.compare();
            }
            if run.draw(2) == 0 {
                run.disk.crash();
            } else {
                run.disk.kill();
            }
            run.reopen();
        }
    }
}

#[test]
fn a_cut_at_every_single_operation_of_a_run_is_survived() {
    for seed in 1..=4 {
        let mut done = false;
        for cut in 1_u64.. {
            let mut run = Run::start(seed);
            run.disk.cut_at(run.disk.ops() + cut);
            let cut_off = (0..60).any(|_| run.step().is_err());
            run.disk.crash();
            run.reopen();
            if !cut_off {
                done = true;
                break;
            }
        }
        assert!(done);
    }
}
