//! Directories that cases are made from: of a node that votes alone, or of three members.
//!
//! Each holds [`WRITES`] acknowledged writes, two snapshots with log behind them, and ends with
//! `kill -9` right after the last acknowledgement. Of the three one was killed fifty writes
//! earlier, so those stand on two disks only: on the victim's, which is damaged, and on that of the
//! member that trials start last.

use super::writes::{WRITES, acknowledge};
use super::{Mode, Sources, copy_dir};
use crate::client::{Client, is_ok, text};
use crate::cluster::{Cluster, Replica};
use crate::wait::until;
use std::fs;
use std::path::{Path, PathBuf};

/// The least that is accepted, so that copies are quick.
const SEGMENT: [&str; 2] = ["--segment-bytes", "1048576"];

/// The least that is accepted. A quarter as many bytes of log are kept behind a snapshot, so this
/// and [`BALLAST`] have everything in front of the last one purged.
const PURGE: [&str; 2] = ["--auto-snapshot-log-bytes", "1048576"];

/// Times that so many bytes are written behind the last snapshot, when the log is to be purged.
const BALLAST: (u32, usize) = (5, 64 << 10);

/// A snapshot is made after so many writes. The first is the *kept* one at the end.
const SNAPSHOTS: [u32; 2] = [75, 200];

/// An earlier copy is taken after so many writes: one before the last snapshot, and one that shares
/// its last segment with the end.
const COPIES: [u32; 2] = [150, 290];

/// One of three is killed after so many.
const LAGGING_FROM: u32 = 250;

/// Prepared directories of one node or of three.
#[derive(Debug)]
pub struct Prepared {
    root: PathBuf,
    /// RESP and peer port of each node, as in its peers' list.
    pub ports: Vec<(u16, u16)>,
    /// The node that is damaged.
    pub victim: usize,
    /// Of three, the one that lacks the last writes.
    pub lagging: Option<usize>,
    /// The victim's node id.
    pub id: String,
    /// Undamaged, by node.
    directories: Vec<PathBuf>,
    copies: Vec<PathBuf>,
}

impl Prepared {
    /// Makes them below `root`.
    pub fn make(root: &Path, mode: Mode) -> Self {
        let extra: &[&str] = if mode == Mode::Purged { &PURGE } else { &[] };
        let nodes = mode.nodes();
        let mut cluster = Cluster::start("damage-source", nodes, &[&SEGMENT, extra].concat());
        let (victim, lagging) = if nodes == 1 {
            (0, None)
        } else {
            let leader = cluster.leader();
            ((leader + 1) % nodes, Some((leader + 2) % nodes))
        };
        let mut stops: Vec<u32> = [&SNAPSHOTS[..], &COPIES, &[LAGGING_FROM, WRITES]].concat();
        stops.sort_unstable();
        let mut client = cluster.replicas[victim].client().expect("it answers");
        let id = cluster.replicas[victim].info("node_id").expect("it knows its id");
        let mut from = 0;
        for stop in stops {
            acknowledge(&mut client, from..stop);
            from = stop;
            if SNAPSHOTS.contains(&stop) {
                snapshot(&mut cluster, victim);
            }
            if mode == Mode::Purged && Some(&stop) == SNAPSHOTS.last() {
                purge(&mut client, &cluster.replicas[victim]);
            }
            if let Some(copy) = COPIES.iter().position(|&at| at == stop) {
                let to = root.join(format!("copy{copy}"));
                copy_dir(&cluster.replicas[victim].dir, &to).expect("a copy");
            }
            if let Some(lagging) = lagging.filter(|_| stop == LAGGING_FROM) {
                cluster.replicas[lagging].kill();
            }
        }
        for replica in &mut cluster.replicas {
            replica.kill();
        }
        for (at, replica) in cluster.replicas.iter().enumerate() {
            copy_dir(&replica.dir, &root.join(format!("node{at}"))).expect("a copy");
        }
        let ports = cluster.replicas.iter().map(|one| (one.port, one.peer_port)).collect();
        let prepared = Self::new(root, ports, (victim, lagging), id);
        prepared.keep();
        prepared
    }

    fn new(
        root: &Path,
        ports: Vec<(u16, u16)>,
        (victim, lagging): (usize, Option<usize>),
        id: String,
    ) -> Self {
        let copies = (0..COPIES.len()).map(|copy| root.join(format!("copy{copy}"))).collect();
        let directories = (0..ports.len()).map(|at| root.join(format!("node{at}"))).collect();
        Self { root: root.to_owned(), ports, victim, lagging, id, directories, copies }
    }

    /// Writes down what the directories do not say, for [`Prepared::open`].
    fn keep(&self) {
        let lagging = self.lagging.map_or("-".to_owned(), |at| at.to_string());
        let ports = self.ports.iter().map(|(port, peer)| format!(" {port} {peer}"));
        let line = format!("{} {lagging} {}{}\n", self.victim, self.id, ports.collect::<String>());
        fs::write(self.root.join("places"), line).expect("a file can be written");
    }

    /// Those that were made there before, so that a case can be repeated to the byte.
    pub fn open(root: &Path) -> Option<Self> {
        let line = fs::read_to_string(root.join("places")).ok()?;
        let mut words = line.split_whitespace();
        let victim = words.next()?.parse().ok()?;
        let lagging = words.next()?.parse().ok();
        let id = words.next()?.to_owned();
        let numbers: Vec<u16> = words.map_while(|word| word.parse().ok()).collect();
        let ports = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        Some(Self::new(root, ports, (victim, lagging), id))
    }

    /// What the victim's damage is made from.
    pub fn sources(&self) -> Sources<'_> {
        Sources {
            whole: self.directory(self.victim),
            copies: &self.copies,
            foreign: self.third().map(|third| self.directory(third)),
        }
    }

    /// The member that is neither the victim nor lagging.
    pub fn third(&self) -> Option<usize> {
        let lagging = self.lagging?;
        (0..self.ports.len()).find(|&at| at != self.victim && at != lagging)
    }

    /// The undamaged directory of a node.
    fn directory(&self, node: usize) -> &Path {
        &self.directories[node]
    }

    /// Fresh copies of all directories below `dir`, and replicas to run there; none is started.
    pub fn replicas(&self, dir: &Path) -> Vec<Replica> {
        let peers: Vec<String> =
            self.ports.iter().map(|(_, peer)| format!("127.0.0.1:{peer}")).collect();
        let make = |(at, &(port, peer)): (usize, &(u16, u16))| {
            let place = dir.join(format!("node{at}"));
            copy_dir(self.directory(at), &place).expect("a copy");
            let mut replica = Replica::at((port, peer), place, &peers.join(","));
            replica.extra = SEGMENT.map(str::to_owned).to_vec();
            replica
        };
        self.ports.iter().enumerate().map(make).collect()
    }
}

/// Writes what moves the snapshot out of the part of the log that is kept. It looks like filler, so
/// its blocks are sampled as those are.
fn purge(client: &mut Client, replica: &Replica) {
    let (times, bytes) = BALLAST;
    for _ in 0..times {
        let reply = client.call(&["SET", "ballast", &"#".repeat(bytes)]).expect("an answer");
        assert!(is_ok(&reply), "a healthy node acknowledges: {reply:?}");
    }
    let index = |field: &str| replica.info(field)?.parse::<u64>().ok();
    until("the log is purged", || {
        (index("raft_purged_index")? >= index("raft_snapshot_index")?).then_some(())
    });
}

/// Has a snapshot made and waits until every running replica has written it.
fn snapshot(cluster: &mut Cluster, through: usize) {
    let index = |replica: &Replica| replica.info("raft_snapshot_index")?.parse::<u64>().ok();
    let before: Vec<u64> = cluster.replicas.iter().map(|one| index(one).unwrap_or(0)).collect();
    let mut client = cluster.replicas[through].client().expect("it answers");
    let reply = client.call(&["BGSAVE"]).expect("an answer");
    assert!(text(&reply).is_some(), "a snapshot is begun: {reply:?}");
    for (replica, before) in cluster.replicas.iter().zip(before) {
        until("a snapshot is written", || index(replica).filter(|&now| now > before));
    }
}
