//! What a replica does next about its cluster, decided from its own state and its peers' answers.
//! Pure.
//!
//! The rules, in this order: contradictions are never acted upon; where a cluster lives, join it;
//! found one only as its founder, and only when every listed peer has answered that no cluster
//! lives. Who founds is settled by name before there is a cluster id, and by the node id inside the
//! cluster id afterwards.

use super::guard::{NoClusterId, founder_of, parse_cluster};
use crate::peer::transport::{PeerId, TransportError};
use crate::proto as pb;
use std::fmt;

/// This replica's part of the decision.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) me: &'a pb::Member,
    /// Sorted.
    pub(super) peers: &'a [String],
    pub(super) cluster: Option<u128>,
    /// Whether its own log has a membership.
    pub(super) has_log: bool,
}

/// What a listed peer said to Hello.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The peer as it is listed.
    pub(super) name: String,
    pub(super) said: Result<pb::HelloResponse, TransportError>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Found the cluster with everybody who answered.
    Found,
    /// Ask this leader to be let in.
    Join { leader: PeerId, cluster: u128 },
    /// Ask again later; the text tells the operator what is missing.
    Wait(String),
    /// Ask again later, but somebody has to put this right.
    Wrong(String),
}

/// Decides.
pub(super) fn decide(view: View<'_>, answers: &[Answer]) -> Plan {
    let known = match clusters(view, answers) {
        Ok(known) => known,
        Err(what) => return Plan::Wrong(what.to_string()),
    };
    let alive = answers.iter().filter_map(Answer::ok).any(|said| said.initialized);
    match known {
        Some(cluster) if alive => join(view, answers, cluster),
        _ => found(view, answers, known),
    }
}

impl Answer {
    fn ok(&self) -> Option<&pb::HelloResponse> {
        self.said.as_ref().ok()
    }

    /// Who answered; `clusters` has made sure that there is somebody.
    fn node(&self) -> Option<u64> {
        self.ok().and_then(|said| said.me.as_ref()).map(|member| member.node)
    }
}

/// What contradicts itself in what peers say of themselves.
#[derive(Clone, Debug)]
enum Contradiction {
    /// This peer does not say who it is.
    Nameless(String),
    /// The peer that is listed as `name` calls itself otherwise.
    OtherName { name: String, itself: String },
    /// Two have the same node id.
    Twins { name: String, twin: String },
    /// This peer's cluster id is none.
    ClusterId(String, NoClusterId),
    /// Two belong to different clusters.
    TwoClusters { name: String, cluster: u128, other: u128, of: String },
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nameless(name) => write!(f, "{name} does not say who it is"),
            Self::OtherName { name, itself } => write!(
                f,
                "{name} leads to a node that calls itself {itself}: check addresses and --peers"
            ),
            Self::Twins { name, twin } => write!(
                f,
                "{name} and {twin} have the same node id: one data directory is a copy of the \
                 other; empty one of them"
            ),
            Self::ClusterId(name, why) => write!(f, "{name}: {why}"),
            Self::TwoClusters { name, cluster, other, of } => write!(
                f,
                "{name} belongs to cluster {cluster:032x}, {of} to {other:032x}: these are nodes \
                 of two clusters"
            ),
        }
    }
}

/// The one cluster anybody knows of.
fn clusters(view: View<'_>, answers: &[Answer]) -> Result<Option<u128>, Contradiction> {
    let mut known = view.cluster.map(|cluster| (cluster, &view.me.name));
    let mut nodes = vec![(view.me.node, &view.me.name)];
    for answer in answers {
        let (name, Some(said)) = (&answer.name, answer.ok()) else { continue };
        let named = || name.clone();
        let Some(member) = &said.me else { return Err(Contradiction::Nameless(named())) };
        if member.name != *name {
            let itself = member.name.clone();
            return Err(Contradiction::OtherName { name: named(), itself });
        }
        if let Some((_, twin)) = nodes.iter().find(|(node, _)| *node == member.node) {
            let twin = String::clone(twin);
            return Err(Contradiction::Twins { name: named(), twin });
        }
        nodes.push((member.node, name));
        let theirs = parse_cluster(&said.cluster);
        let Some(cluster) = theirs.map_err(|why| Contradiction::ClusterId(named(), why))? else {
            continue;
        };
        match known {
            Some((other, of)) if other != cluster => {
                let of = of.clone();
                return Err(Contradiction::TwoClusters { name: named(), cluster, other, of });
            }
            _ => known = Some((cluster, name)),
        }
    }
    Ok(known.map(|(cluster, _)| cluster))
}

fn join(view: View<'_>, answers: &[Answer], cluster: u128) -> Plan {
    if founder_of(cluster) == view.me.node && !view.has_log {
        return Plan::Wrong(format!(
            "{} founded cluster {cluster:032x} but has lost its log; remove its whole data \
             directory, so that it joins as a new node",
            view.me.name
        ));
    }
    let leads = |answer: &&Answer| answer.ok().is_some_and(|it| Some(it.leader) == answer.node());
    if let Some(leader) = answers.iter().find(leads) {
        let node = leader.node().unwrap_or_default();
        return Plan::Join { leader: PeerId { node, address: leader.name.clone() }, cluster };
    }
    Plan::Wait(format!(
        "waiting for cluster {cluster:032x} to have a leader to join{}",
        missing(answers).map_or_else(String::new, |names| format!(" (no answer from {names})"))
    ))
}

fn found(view: View<'_>, answers: &[Answer], known: Option<u128>) -> Plan {
    for answer in answers {
        if let Err(TransportError::Refused(text)) = &answer.said {
            return Plan::Wrong(format!("{} will not talk to us: {text}", answer.name));
        }
    }
    if let Some(names) = missing(answers) {
        return Plan::Wait(format!(
            "waiting for {names}: no cluster is founded before every listed peer has answered"
        ));
    }
    for answer in answers {
        let theirs = answer.ok().map_or(&[][..], |said| &said.peers);
        if theirs != view.peers {
            return Plan::Wrong(format!(
                "{} was started with another list of peers ({}) than {} ({}): use the same list \
                everywhere",
                answer.name,
                theirs.join(","),
                view.me.name,
                view.peers.join(",")
            ));
        }
    }
    if view.has_log {
        return Plan::Wait("waiting for the members of the cluster".to_owned());
    }
    match known {
        Some(cluster) => resume(view, answers, cluster),
        None if view.peers.first() == Some(&view.me.name) => Plan::Found,
        None => Plan::Wait(format!(
            "all peers are here; waiting for {} to found the cluster",
            view.peers.first().map_or("", String::as_str)
        )),
    }
}

/// Somebody drew a cluster id, and nobody has a log.
fn resume(view: View<'_>, answers: &[Answer], cluster: u128) -> Plan {
    let founder = founder_of(cluster);
    if founder == view.me.node {
        return Plan::Found;
    }
    match answers.iter().find(|answer| answer.node() == Some(founder)) {
        Some(answer) => Plan::Wait(format!("waiting for {} to found the cluster", answer.name)),
        None => Plan::Wrong(format!(
            "cluster {cluster:032x} was begun by a node that lost its disk before the cluster \
             existed; nothing was ever stored in it: empty the data directories of all nodes and \
             start them again"
        )),
    }
}

/// The peers without an answer.
fn missing(answers: &[Answer]) -> Option<String> {
    let names: Vec<&str> =
        answers.iter().filter(|it| it.said.is_err()).map(|it| it.name.as_str()).collect();
    if names.is_empty() { None } else { Some(names.join(", ")) }
}
