//! A cluster in memory: disks that survive, processes that do not, a network that can be cut, and
//! as much of Raft as bootstrap sees (a membership in the log, a leader when a majority lives).

use crate::api::{JoinRefusal, Joined, RaftFailure, Seat};
use crate::membership::members::Start;
use crate::membership::{Bootstrap, Ground, Local, Started};
use crate::peer::transport::{
    PeerId, Refused, Request, Response, Service, Transport, TransportError,
};
use crate::proto as pb;
use crate::replica::error::StartError;
use futures::FutureExt;
use futures::future::{AbortHandle, Abortable, BoxFuture};
use futures::stream::BoxStream;
use openraft::AsyncRuntime;
use openraft_rt_sim::SimRuntime;
use quorate_store::StoreError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a replica keeps.
#[derive(Clone, Default)]
pub(super) struct Disk {
    pub(super) node: u64,
    pub(super) incarnation: u64,
    pub(super) cluster: Option<u128>,
    /// Version and seats of the last membership.
    pub(super) log: Option<(u64, Vec<Seat>)>,
}

struct Process {
    bootstrap: Arc<Bootstrap<Site>>,
    driver: AbortHandle,
}

#[derive(Default)]
struct State {
    disks: BTreeMap<String, Disk>,
    processes: BTreeMap<String, Process>,
    /// Addresses that neither answer nor are answered.
    cut: BTreeSet<String>,
    /// Addresses that lead elsewhere.
    routes: BTreeMap<String, String>,
    leaders: BTreeMap<u128, u64>,
    /// Every membership anybody initialized a log with.
    founded: Vec<(u128, Vec<u64>)>,
    /// Which process dies after how many more steps.
    doomed: Option<(String, u32)>,
    drawn: u64,
    failed: Vec<String>,
}

/// The world. Clones share it.
#[derive(Clone, Default)]
pub(super) struct World(Arc<Mutex<State>>);

pub(super) fn names<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).to_vec()
}

pub(super) fn simulate(test: impl Future<Output = ()> + Send + 'static) {
    SimRuntime::with_seed(1).block_on(test);
}

/// Virtual time passes: nobody waits for it.
pub(super) async fn pass(time: Duration) {
    <SimRuntime as AsyncRuntime>::sleep(time).await;
}

impl World {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A world with its Raft running.
    pub(super) fn new() -> Self {
        let world = Self::default();
        let raft = world.clone();
        drop(SimRuntime::spawn(async move {
            loop {
                raft.lock().elect_and_replicate();
                pass(Duration::from_millis(20)).await;
            }
        }));
        world
    }

    /// Starts the process called `name`, with what its disk holds.
    pub(super) fn start(&self, name: &str, peers: &[String]) {
        self.stop(name);
        let mut state = self.lock();
        state.drawn += 1;
        let fresh = 0x1000 + state.drawn;
        let disk = state.disks.entry(name.to_owned()).or_default();
        if disk.node == 0 {
            disk.node = fresh;
        }
        disk.incarnation += 1;
        let (node, incarnation, cluster) = (disk.node, disk.incarnation, disk.cluster);
        let me = pb::Member {
            node,
            peer_address: name.to_owned(),
            name: name.to_owned(),
            ..Default::default()
        };
        let site = Site { world: self.clone(), name: name.to_owned(), node, incarnation };
        let start = Start { incarnation, nonce: fresh };
        let local = Local::new(me, start, 1, peers).expect("a good list");
        let bootstrap = Bootstrap::new(local, cluster, site);
        let (driver, registration) = AbortHandle::new_pair();
        let (world, running) = (self.clone(), Arc::clone(&bootstrap));
        drop(SimRuntime::spawn(async move {
            if let Ok(Err(why)) = Abortable::new(running.run(), registration).await {
                world.lock().failed.push(why.to_string());
            }
        }));
        state.processes.insert(name.to_owned(), Process { bootstrap, driver });
    }

    /// Kills a process; its disk stays.
    pub(super) fn stop(&self, name: &str) {
        if let Some(process) = self.lock().processes.remove(name) {
            process.driver.abort();
        }
    }

    pub(super) fn wipe(&self, name: &str) {
        self.stop(name);
        self.lock().disks.remove(name);
    }

    pub(super) fn cut(&self, name: &str) {
        self.lock().cut.insert(name.to_owned());
    }

    pub(super) fn heal(&self) {
        self.lock().cut.clear();
    }

    pub(super) fn route(&self, address: &str, to: &str) {
        self.lock().routes.insert(address.to_owned(), to.to_owned());
    }

    /// Lets `name` die at its `steps`-th step from now.
    pub(super) fn doom(&self, name: &str, steps: u32) {
        self.lock().doomed = Some((name.to_owned(), steps));
    }

    pub(super) fn runs(&self, name: &str) -> bool {
        self.lock().processes.contains_key(name)
    }

    pub(super) fn disk(&self, name: &str) -> Disk {
        self.lock().disks.get(name).cloned().unwrap_or_default()
    }

    pub(super) fn founded(&self) -> Vec<(u128, Vec<u64>)> {
        self.lock().founded.clone()
    }

    /// Whether all these, and only these, vote in one cluster.
    pub(super) fn settled(&self, names: &[String]) -> bool {
        let state = self.lock();
        assert_eq!(state.failed, Vec::<String>::new());
        let disks: Vec<&Disk> = names.iter().filter_map(|name| state.disks.get(name)).collect();
        let nodes: BTreeSet<u64> = disks.iter().map(|disk| disk.node).collect();
        disks.len() == names.len()
            && disks.iter().all(|disk| {
                let seats = disk.log.iter().flat_map(|(_, seats)| seats);
                let voters: BTreeSet<u64> =
                    seats.filter(|seat| seat.voter).map(|seat| seat.member.node).collect();
                disk.cluster.is_some() && disk.cluster == disks[0].cluster && voters == nodes
            })
    }

    pub(super) async fn settle(&self, names: &[String]) {
        for _ in 0..12_000 {
            if self.settled(names) {
                return;
            }
            pass(Duration::from_millis(10)).await;
        }
        panic!("not settled after two minutes; founded {:?}", self.founded());
    }

    /// Lets one message through as `from`, to whoever lives at `address`.
    pub(super) async fn call(
        &self,
        from: &str,
        address: &str,
        request: Request,
    ) -> Result<Response, TransportError> {
        let service = self.lock().reach(from, address)?;
        service.call(request).await.map_err(|why| TransportError::Refused(why.to_string()))
    }
}

impl State {
    fn reach(&self, from: &str, address: &str) -> Result<Arc<Bootstrap<Site>>, TransportError> {
        let to = self.routes.get(address).map_or(address, String::as_str);
        match self.processes.get(to) {
            Some(process) if !self.cut.contains(from) && !self.cut.contains(to) => {
                Ok(Arc::clone(&process.bootstrap))
            }
            _ => Err(TransportError::Unreachable(format!("{address} is down"))),
        }
    }

    /// One step of a process: false when it was its last.
    fn step(&mut self, site: &Site) -> bool {
        if let Some((name, steps)) = &mut self.doomed
            && *name == site.name
        {
            *steps = steps.saturating_sub(1);
            if *steps == 0 {
                self.doomed = None;
                if let Some(process) = self.processes.remove(&site.name) {
                    process.driver.abort();
                }
            }
        }
        self.lives(site)
    }

    fn lives(&self, site: &Site) -> bool {
        self.processes.contains_key(&site.name)
            && self
                .disks
                .get(&site.name)
                .is_some_and(|disk| disk.node == site.node && disk.incarnation == site.incarnation)
    }

    /// Nodes that take part in `cluster` now, by node id.
    fn live(&self, cluster: u128) -> BTreeMap<u64, String> {
        let up = |name: &&String| {
            self.processes.get(*name).is_some_and(|it| it.bootstrap.replica.borrow().is_some())
                && !self.cut.contains(*name)
        };
        let here =
            self.disks.iter().filter(|(name, disk)| disk.cluster == Some(cluster) && up(name));
        here.map(|(name, disk)| (disk.node, name.clone())).collect()
    }

    fn elect_and_replicate(&mut self) {
        let clusters: BTreeSet<u128> =
            self.disks.values().filter_map(|disk| disk.cluster).collect();
        self.leaders.clear();
        for cluster in clusters {
            let live = self.live(cluster);
            let logs = live.values().filter_map(|name| {
                let disk = self.disks.get(name)?;
                disk.log.clone().map(|log| (disk.node, log))
            });
            let Some((leader, (version, seats))) = logs.max_by_key(|(_, (version, _))| *version)
            else {
                continue;
            };
            let voters: Vec<u64> =
                seats.iter().filter(|seat| seat.voter).map(|seat| seat.member.node).collect();
            let up = voters.iter().filter(|voter| live.contains_key(voter)).count();
            if up * 2 <= voters.len() {
                continue;
            }
            self.leaders.insert(cluster, leader);
            for name in seats.iter().filter_map(|seat| live.get(&seat.member.node)) {
                if let Some(disk) = self.disks.get_mut(name) {
                    disk.log = Some((version, seats.clone()));
                }
            }
        }
    }
}

/// What a process gets of its disk when it was killed.
fn crashed() -> StoreError {
    StoreError::Io(std::io::Error::other("crashed"))
}

/// The surroundings of one process.
#[derive(Clone)]
pub(super) struct Site {
    world: World,
    name: String,
    node: u64,
    incarnation: u64,
}

impl Site {
    /// One step of this process, which may be its last.
    fn step(&self) -> Result<(), StoreError> {
        if self.world.lock().step(self) { Ok(()) } else { Err(crashed()) }
    }

    async fn step_or_die(&self) {
        if self.step().is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn with_disk<T>(&self, act: impl FnOnce(&mut Disk) -> T) -> Result<T, StoreError> {
        let mut state = self.world.lock();
        if !state.lives(self) {
            return Err(crashed());
        }
        state.disks.get_mut(&self.name).map(act).ok_or_else(crashed)
    }
}

impl Ground for Site {
    type Replica = Site;
    type Transport = Site;

    fn transport(&self) -> &Self {
        self
    }

    fn keep_cluster(&self, cluster: u128) -> Result<(), StoreError> {
        self.step()?;
        self.with_disk(|disk| disk.cluster = Some(cluster))?;
        self.step()
    }

    fn open(&self, cluster: u128) -> BoxFuture<'_, Result<Site, StartError>> {
        async move {
            self.step_or_die().await;
            pass(Duration::from_millis(30)).await;
            assert_eq!(self.with_disk(|disk| disk.cluster).ok(), Some(Some(cluster)));
            Ok(self.clone())
        }
        .boxed()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        pass(time).boxed()
    }

    fn random(&self) -> u64 {
        let mut state = self.world.lock();
        state.drawn += 1;
        state.drawn
    }
}

impl Started for Site {
    fn is_initialized(&self) -> bool {
        self.with_disk(|disk| disk.log.is_some()).unwrap_or(false)
    }

    fn members(&self) -> Vec<Seat> {
        self.with_disk(|disk| disk.log.clone())
            .ok()
            .flatten()
            .map_or(Vec::new(), |(_, seats)| seats)
    }

    fn leader(&self) -> Option<u64> {
        let cluster = self.with_disk(|disk| disk.cluster).ok().flatten()?;
        self.world.lock().leaders.get(&cluster).copied()
    }

    async fn initialize(&self, members: Vec<pb::Member>) -> Result<(), RaftFailure> {
        self.step_or_die().await;
        let nodes = members.iter().map(|member| member.node).collect();
        let seats = members.into_iter().map(|member| Seat { member, voter: true }).collect();
        let new = self.with_disk(|disk| {
            let cluster = disk.cluster.filter(|_| disk.log.is_none());
            disk.log.get_or_insert((0, seats));
            cluster
        });
        let new = new.map_err(RaftFailure::new)?;
        if let Some(cluster) = new {
            self.world.lock().founded.push((cluster, nodes));
        }
        self.step_or_die().await;
        Ok(())
    }

    async fn join(&self, who: pb::Member, replace: bool) -> Joined {
        let leader = self.leader();
        if leader != Some(self.node) {
            return Joined::NotLeader(leader);
        }
        let mut seats = self.members();
        if seats.iter().any(|seat| seat.voter && seat.member.node == who.node) {
            return Joined::Voter;
        }
        let cluster = self.with_disk(|disk| disk.cluster).ok().flatten().unwrap_or_default();
        let live = self.world.lock().live(cluster);
        if !replace
            || seats
                .iter()
                .any(|it| it.member.name == who.name && live.contains_key(&it.member.node))
        {
            return Joined::Refused(JoinRefusal::Answers { node: 0, name: who.name });
        }
        seats.retain(|seat| seat.member.name != who.name);
        seats.push(Seat { member: who, voter: true });
        let changed = self.with_disk(|disk| {
            let version = disk.log.as_ref().map_or(0, |(version, _)| *version);
            disk.log = Some((version + 1, seats));
        });
        let refused = |why| Joined::Refused(JoinRefusal::Raft(RaftFailure::new(why)));
        changed.map_or_else(refused, |()| Joined::Voter)
    }
}

impl Transport for Site {
    fn call(
        &self,
        to: &PeerId,
        request: Request,
    ) -> BoxFuture<'static, Result<Response, TransportError>> {
        let (site, address) = (self.clone(), to.address.clone());
        async move {
            site.step_or_die().await;
            pass(Duration::from_millis(1)).await;
            let answer = site.world.call(&site.name, &address, request).await;
            pass(Duration::from_millis(1)).await;
            site.step_or_die().await;
            answer
        }
        .boxed()
    }

    fn append_stream(
        &self,
        _: &PeerId,
        _: BoxStream<'static, pb::AppendRequest>,
    ) -> BoxFuture<
        'static,
        Result<BoxStream<'static, Result<pb::AppendResponse, TransportError>>, TransportError>,
    > {
        unused()
    }

    fn forward_stream(
        &self,
        _: &PeerId,
        _: BoxStream<'static, pb::ForwardRequest>,
    ) -> BoxFuture<
        'static,
        Result<BoxStream<'static, Result<pb::ForwardResponse, TransportError>>, TransportError>,
    > {
        unused()
    }

    fn bus_stream(
        &self,
        _: &PeerId,
        _: BoxStream<'static, pb::BusRequest>,
    ) -> BoxFuture<
        'static,
        Result<BoxStream<'static, Result<pb::BusResponse, TransportError>>, TransportError>,
    > {
        unused()
    }

    fn snapshot(
        &self,
        _: &PeerId,
        _: BoxStream<'static, pb::SnapshotChunk>,
    ) -> BoxFuture<'static, Result<pb::SnapshotResponse, TransportError>> {
        unused()
    }
}

fn unused<T: Send + 'static>() -> BoxFuture<'static, Result<T, TransportError>> {
    futures::future::ready(Err(TransportError::Unreachable("not here".to_owned()))).boxed()
}

impl Service for Site {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, Refused>> {
        unreachable!("{request:?} is for Raft")
    }

    fn append_stream(
        &self,
        _: BoxStream<'static, Result<pb::AppendRequest, TransportError>>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, pb::AppendResponse>, Refused>> {
        unreachable!("it is for Raft")
    }

    fn forward_stream(
        &self,
        _: BoxStream<'static, Result<pb::ForwardRequest, TransportError>>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, pb::ForwardResponse>, Refused>> {
        unreachable!("it is for Raft")
    }

    fn bus_stream(
        &self,
        _: BoxStream<'static, Result<pb::BusRequest, TransportError>>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, pb::BusResponse>, Refused>> {
        unreachable!("it is for the running replica")
    }

    fn snapshot(
        &self,
        _: BoxStream<'static, Result<pb::SnapshotChunk, TransportError>>,
    ) -> BoxFuture<'_, Result<pb::SnapshotResponse, Refused>> {
        unreachable!("it is for Raft")
    }
}
