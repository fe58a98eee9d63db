//! Carrying the plan out: ask, decide, act, and again until this replica votes. Every step may be
//! repeated, so that a crash between any two is mended by starting again; what is waited for is
//! said in the log, once and then now and then.

use super::plan::{Answer, Plan, View, decide};
use super::{Bootstrap, Ground, Started, guard};
use crate::peer::transport::{PeerId, Request, Response, Transport, TransportError};
use crate::proto as pb;
use crate::replica::error::StartError;
use futures::future::{Either, join_all, select};
use std::error::Error;
use std::fmt;
use std::pin::pin;
use std::time::Duration;

/// Between two tries, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long a peer may take to say Hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a peer may take to adopt a cluster: it writes to its disk and starts a replica.
const ADOPT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a leader may take to let us in before we ask again; it goes on where it was.
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);

/// What is being waited for is said again after this long.
const REPEAT: Duration = Duration::from_secs(15);

/// What became of one try.
enum Step {
    /// This replica votes.
    Done,
    /// Not yet; what is missing.
    Wait(String),
    /// Not like this; what somebody has to put right.
    Wrong(String),
}

/// Somebody who was to adopt a cluster has not, or has not said so.
#[derive(Debug)]
struct NotAdopted {
    by: String,
    cluster: u128,
    /// None: the answer is no.
    why: Option<TransportError>,
}

impl fmt::Display for NotAdopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, cluster, why } = self;
        write!(f, "waiting for {by} to adopt cluster {cluster:032x}")?;
        why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
    }
}

impl Error for NotAdopted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.why.as_ref().map(|why| why as _)
    }
}

impl<G: Ground> Bootstrap<G> {
    /// Tries until this replica is a voter of its cluster. An error means that it cannot start at
    /// all.
    pub(crate) async fn run(&self) -> Result<(), StartError> {
        let mut said = (String::new(), Duration::ZERO);
        let (mut pause, longest) = PAUSE;
        loop {
            let (text, wrong) = match self.step().await? {
                Step::Done => return Ok(()),
                Step::Wait(text) => (text, false),
                Step::Wrong(text) => (text, true),
            };
            if text != said.0 || said.1 >= REPEAT {
                if wrong {
                    tracing::warn!("{text}");
                } else {
                    tracing::info!("{text}");
                }
                said = (text, Duration::ZERO);
            }
            let adopted = pin!(self.adopted.notified());
            match select(self.ground.sleep(pause), adopted).await {
                Either::Left(_) => {
                    said.1 += pause;
                    pause = longest.min(pause * 2);
                }
                Either::Right(_) => pause = PAUSE.0,
            }
        }
    }

    async fn step(&self) -> Result<Step, StartError> {
        let mut has_log = false;
        if let Some(cluster) = self.cluster() {
            let replica = self.opened(cluster).await?;
            has_log = replica.is_initialized();
            let me = self.local.me.node;
            if replica.members().iter().any(|seat| seat.voter && seat.member.node == me) {
                return Ok(Step::Done);
            }
        }
        let answers = join_all(self.local.others().map(|name| self.hello_to(name))).await;
        let cluster = self.cluster();
        let view = View { me: &self.local.me, peers: &self.local.peers, cluster, has_log };
        match decide(view, &answers) {
            Plan::Found => self.found(&answers).await,
            Plan::Join { leader, cluster } => self.join_at(leader, cluster).await,
            Plan::Wait(text) => Ok(Step::Wait(text)),
            Plan::Wrong(text) => Ok(Step::Wrong(text)),
        }
    }

    /// The running replica; starts it the first time. Only the driver calls this.
    async fn opened(&self, cluster: u128) -> Result<G::Replica, StartError> {
        if let Some(replica) = self.replica.borrow().clone() {
            return Ok(replica);
        }
        let replica = self.ground.open(cluster).await?;
        self.replica.send_replace(Some(replica.clone()));
        Ok(replica)
    }

    async fn hello_to(&self, name: &str) -> Answer {
        let request = Request::Hello(pb::HelloRequest {
            envelope: Some(self.envelope(0)),
            me: Some(self.local.me.clone()),
            peers: self.local.peers.clone(),
        });
        let to = PeerId { node: 0, address: name.to_owned() };
        let said = match self.ask(&to, request, HELLO_TIMEOUT).await {
            Ok(Response::Hello(said)) => Ok(said),
            Ok(_) => Err(TransportError::Unreachable("it answered something else".to_owned())),
            Err(error) => Err(error),
        };
        Answer { name: name.to_owned(), said }
    }

    /// Every step is durable before the next, and may be repeated: draw the id, have all adopt it,
    /// initialize.
    async fn found(&self, answers: &[Answer]) -> Result<Step, StartError> {
        let me = &self.local.me;
        let cluster = match self.cluster() {
            Some(cluster) => cluster,
            None => guard::draw_cluster(me.node, self.ground.random()),
        };
        if let Err(why) = self.keep(cluster) {
            return Ok(Step::Wrong(why.to_string()));
        }
        let replica = self.opened(cluster).await?;
        let others = answers.iter().filter_map(|answer| answer.said.as_ref().ok()?.me.clone());
        let mut members: Vec<pb::Member> = others.chain([me.clone()]).collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        let others = members.iter().filter(|member| member.node != me.node);
        for result in join_all(others.map(|to| self.adopt_at(to, cluster, &members))).await {
            if let Err(why) = result {
                return Ok(Step::Wait(why.to_string()));
            }
        }
        let names = members.len();
        match replica.initialize(members).await {
            Ok(()) => {
                tracing::info!("founded cluster {cluster:032x} with {names} nodes");
                Ok(Step::Done)
            }
            Err(why) => Ok(Step::Wrong(format!("cannot found cluster {cluster:032x}: {why}"))),
        }
    }

    async fn adopt_at(
        &self,
        to: &pb::Member,
        cluster: u128,
        members: &[pb::Member],
    ) -> Result<(), NotAdopted> {
        let request = Request::Adopt(pb::AdoptRequest {
            cluster: guard::cluster_bytes(Some(cluster)),
            members: members.to_vec(),
            to: to.node,
            envelope: Some(self.envelope(to.node)),
        });
        let peer = PeerId { node: to.node, address: to.name.clone() };
        let why = match self.ask(&peer, request, ADOPT_TIMEOUT).await {
            Ok(Response::Adopt(answer)) if answer.adopted => return Ok(()),
            Ok(_) => None,
            Err(error) => Some(error),
        };
        Err(NotAdopted { by: to.name.clone(), cluster, why })
    }

    /// The leader's cluster becomes ours before the leader hears of us: it will send entries at
    /// once.
    async fn join_at(&self, leader: PeerId, cluster: u128) -> Result<Step, StartError> {
        if let Err(why) = self.keep(cluster) {
            return Ok(Step::Wrong(why.to_string()));
        }
        self.opened(cluster).await?;
        tracing::debug!("asking {} to join cluster {cluster:032x}", leader.address);
        let request = Request::Join(pb::JoinRequest {
            envelope: Some(self.envelope(leader.node)),
            me: Some(self.local.me.clone()),
            replace_same_name: true,
        });
        let name = leader.address.clone();
        Ok(match self.ask(&leader, request, JOIN_TIMEOUT).await {
            Ok(Response::Join(answer)) if answer.joined => {
                tracing::info!("joined cluster {cluster:032x} as node {}", self.local.me.node);
                Step::Done
            }
            Ok(Response::Join(answer)) => {
                Step::Wait(format!("{name} has not let us in yet: {}", answer.reason))
            }
            Ok(_) => Step::Wrong(format!("{name} answered something else")),
            Err(TransportError::Refused(text)) => {
                Step::Wrong(format!("{name} does not let us in: {text}"))
            }
            Err(TransportError::Unreachable(text)) => {
                Step::Wait(format!("waiting for {name} to let us in: {text}"))
            }
        })
    }

    async fn ask(
        &self,
        to: &PeerId,
        request: Request,
        limit: Duration,
    ) -> Result<Response, TransportError> {
        let call = self.ground.transport().call(to, request);
        match select(call, self.ground.sleep(limit)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(TransportError::Unreachable("no answer in time".to_owned())),
        }
    }
}
