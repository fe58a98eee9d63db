//! What peers ask while a cluster is found, founded or joined: Hello, Adopt and Join are answered
//! here, everything else by the replica, as soon as there is one. The guard has looked at each
//! envelope first.

use super::guard::{Needs, cluster_bytes, founder_of, parse_cluster};
use super::{Bootstrap, Ground, Started};
use crate::api::Joined;
use crate::peer::transport::{Refused, Request, Response, Service, TransportError};
use crate::proto as pb;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use std::error::Error;
use std::fmt;

/// Why a request about the cluster is declined. `name` is this replica's.
#[derive(Debug)]
enum Declined {
    /// There is no replica yet.
    NoCluster { name: String },
    /// The sender has this replica's name.
    Namesake { name: String },
    /// An adoption names no cluster.
    Nothing,
    /// The founder has another list of peers.
    OtherPeers { name: String },
    /// It is for another node than this one.
    OtherNode { name: String, node: u64 },
    /// The cluster is not of this founder's making.
    NotFounder { cluster: u128, from: u64 },
    /// The sender asks for somebody else.
    ForAnother,
    /// Who asks is in no list of peers.
    NotListed { who: String, name: String },
    /// The process is stopping.
    Stopping,
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCluster { name } => write!(f, "{name} belongs to no cluster yet"),
            Self::Namesake { name } => {
                write!(f, "it calls itself {name}, and so does the node it has reached")
            }
            Self::Nothing => f.write_str("an adoption without a cluster id"),
            Self::OtherPeers { name } => write!(f, "the founder's list of peers is not {name}'s"),
            Self::OtherNode { name, node } => write!(f, "{name} is node {node}: ask again"),
            Self::NotFounder { cluster, from } => {
                write!(f, "cluster {cluster:032x} was not drawn by node {from}")
            }
            Self::ForAnother => f.write_str("a replica can only ask for itself"),
            Self::NotListed { who, name } => {
                write!(f, "{who} is not in the list of peers of {name}")
            }
            Self::Stopping => f.write_str("stopping"),
        }
    }
}

impl Error for Declined {}

impl<G: Ground> Bootstrap<G> {
    fn running(&self) -> Result<G::Replica, Declined> {
        let replica = self.replica.borrow().clone();
        replica.ok_or_else(|| Declined::NoCluster { name: self.name() })
    }

    fn name(&self) -> String {
        self.local.me.name.clone()
    }

    fn hello(&self, request: &pb::HelloRequest) -> Result<pb::HelloResponse, Refused> {
        self.guard.check(self.cluster(), request.envelope.as_ref(), Needs::Stranger)?;
        let name = &self.local.me.name;
        if request.me.as_ref().is_some_and(|member| member.name == *name) {
            return Err(Declined::Namesake { name: self.name() }.into());
        }
        let replica = self.replica.borrow().clone();
        Ok(pb::HelloResponse {
            me: Some(self.local.me.clone()),
            cluster: cluster_bytes(self.cluster()),
            initialized: replica.as_ref().is_some_and(Started::is_initialized),
            leader: replica.as_ref().and_then(Started::leader).unwrap_or(0),
            peers: self.local.peers.clone(),
        })
    }

    /// Takes the founder's cluster id for ours. Answers when it is on disk and the replica runs, so
    /// that the founder's first call for votes finds somebody.
    async fn adopt(&self, request: pb::AdoptRequest) -> Result<pb::AdoptResponse, Refused> {
        self.guard.check(self.cluster(), request.envelope.as_ref(), Needs::Stranger)?;
        let from = request.envelope.map_or(0, |envelope| envelope.from);
        let (me, members) = (&self.local.me, request.members);
        let cluster = parse_cluster(&request.cluster)?.ok_or(Declined::Nothing)?;
        let listed = |member: &pb::Member| self.local.peers.contains(&member.name);
        if members.len() != self.local.peers.len() || !members.iter().all(listed) {
            return Err(Declined::OtherPeers { name: self.name() }.into());
        }
        let is_me = |it: &pb::Member| it.node == me.node && it.name == me.name;
        if request.to != me.node || !members.iter().any(is_me) {
            return Err(Declined::OtherNode { name: self.name(), node: me.node }.into());
        }
        if founder_of(cluster) != from || !members.iter().any(|member| member.node == from) {
            return Err(Declined::NotFounder { cluster, from }.into());
        }
        self.keep(cluster)?;
        self.adopted.notify_one();
        let mut replica = self.replica.subscribe();
        replica.wait_for(Option::is_some).await.map_err(|_| Declined::Stopping)?;
        Ok(pb::AdoptResponse { adopted: true })
    }

    async fn join(&self, request: pb::JoinRequest) -> Result<pb::JoinResponse, Refused> {
        self.guard.check(self.cluster(), request.envelope.as_ref(), Needs::Member)?;
        let from = request.envelope.map_or(0, |envelope| envelope.from);
        let who = request.me.filter(|member| member.node == from && from != 0);
        let who = who.ok_or(Declined::ForAnother)?;
        let replica = self.running()?;
        let known = replica.members().iter().any(|seat| seat.member.name == who.name);
        if !known && !self.local.peers.contains(&who.name) {
            return Err(Declined::NotListed { who: who.name, name: self.name() }.into());
        }
        tracing::debug!("{} (node {from}) asks to join", who.name);
        let cluster = cluster_bytes(self.cluster());
        let answer = pb::JoinResponse { cluster, leader: self.local.me.node, ..Default::default() };
        let name = who.name.clone();
        Ok(match replica.join(who, request.replace_same_name).await {
            Joined::Voter => {
                tracing::info!("{name} votes as node {from}");
                pb::JoinResponse { joined: true, ..answer }
            }
            Joined::NotLeader(leader) => pb::JoinResponse {
                leader: leader.unwrap_or(0),
                reason: "it does not lead any more".to_owned(),
                ..answer
            },
            Joined::Refused(why) => pb::JoinResponse { reason: why.to_string(), ..answer },
        })
    }
}

impl<G: Ground> Service for Bootstrap<G> {
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, Refused>> {
        async move {
            match request {
                Request::Hello(request) => self.hello(&request).map(Response::Hello),
                Request::Adopt(request) => self.adopt(request).await.map(Response::Adopt),
                Request::Join(request) => self.join(request).await.map(Response::Join),
                other => self.running()?.call(other).await,
            }
        }
        .boxed()
    }

    fn append_stream(
        &self,
        input: BoxStream<'static, Result<pb::AppendRequest, TransportError>>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, pb::AppendResponse>, Refused>> {
        async move { self.running()?.append_stream(input).await }.boxed()
    }

    fn forward_stream(
        &self,
        input: BoxStream<'static, Result<pb::ForwardRequest, TransportError>>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, pb::ForwardResponse>, Refused>> {
        async move { self.running()?.forward_stream(input).await }.boxed()
    }

    fn bus_stream(
        &self,
        input: BoxStream<'static, Result<pb::BusRequest, TransportError>>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, pb::BusResponse>, Refused>> {
        async move { self.running()?.bus_stream(input).await }.boxed()
    }

    fn snapshot(
        &self,
        input: BoxStream<'static, Result<pb::SnapshotChunk, TransportError>>,
    ) -> BoxFuture<'_, Result<pb::SnapshotResponse, Refused>> {
        async move { self.running()?.snapshot(input).await }.boxed()
    }
}
