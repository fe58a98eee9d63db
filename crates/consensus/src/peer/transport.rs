//! The seam between Raft and the network: what a replica asks of a peer ([`Transport`]) and what it
//! answers ([`Service`]).
//!
//! Both speak the messages of `proto/peer.proto`. `crate::peer::grpc` carries them over tonic, the
//! simulation in memory. Nothing here or above knows tonic.

use crate::proto as pb;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use std::error::Error;
use std::fmt;

/// Why a call gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TransportError {
    /// No connection, broken stream, or no answer in time.
    Unreachable(String),
    /// The peer answered that it will not talk to us: wrong cluster, wrong node, old incarnation,
    /// wrong secret.
    Refused(String),
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) | Self::Refused(why) => f.write_str(why),
        }
    }
}

impl Error for TransportError {}

/// A peer as the transport reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PeerId {
    /// Node id; goes into the envelope.
    pub(crate) node: u64,
    /// `host:port` of its peer port.
    pub(crate) address: String,
}

/// A unary request. Its answer is the [`Response`] variant of the same name.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Heartbeat(pb::AppendRequest),
    Vote(pb::VoteRequest),
    Transfer(pb::TransferRequest),
    ReadIndex(pb::ReadIndexRequest),
    Offer(pb::OfferRequest),
    Hello(pb::HelloRequest),
    Adopt(pb::AdoptRequest),
    Join(pb::JoinRequest),
    Vouch(pb::VouchRequest),
    Compare(pb::CompareRequest),
    Diverged(pb::DivergedRequest),
}

/// A unary answer.
#[derive(Clone, Debug)]
pub(crate) enum Response {
    Heartbeat(pb::AppendResponse),
    Vote(pb::VoteResponse),
    Transfer(pb::TransferResponse),
    ReadIndex(pb::ReadIndexResponse),
    Offer(pb::OfferResponse),
    Hello(pb::HelloResponse),
    Adopt(pb::AdoptResponse),
    Join(pb::JoinResponse),
    Vouch(pb::VouchResponse),
    Compare(pb::CompareResponse),
    Diverged(pb::DivergedResponse),
}

/// Calling peers. Envelopes are filled in by the caller (replica knows cluster, node and
/// incarnation). Connections are kept and shared; connecting is lazy; nothing here sleeps between
/// tries.
pub(crate) trait Transport: Clone + Send + Sync + 'static {
    /// One request, one answer. The caller puts its own time limit around it.
    fn call(
        &self,
        to: &PeerId,
        request: Request,
    ) -> BoxFuture<'static, Result<Response, TransportError>>;

    /// The long-lived append stream. The future resolves once the peer has accepted the stream.
    fn append_stream(
        &self,
        to: &PeerId,
        input: BoxStream<'static, pb::AppendRequest>,
    ) -> BoxFuture<
        'static,
        Result<BoxStream<'static, Result<pb::AppendResponse, TransportError>>, TransportError>,
    >;

    /// The long-lived forward stream.
    fn forward_stream(
        &self,
        to: &PeerId,
        input: BoxStream<'static, pb::ForwardRequest>,
    ) -> BoxFuture<
        'static,
        Result<BoxStream<'static, Result<pb::ForwardResponse, TransportError>>, TransportError>,
    >;

    /// The long-lived stream of the bus.
    fn bus_stream(
        &self,
        to: &PeerId,
        input: BoxStream<'static, pb::BusRequest>,
    ) -> BoxFuture<
        'static,
        Result<BoxStream<'static, Result<pb::BusResponse, TransportError>>, TransportError>,
    >;

    /// Sends a snapshot; resolves when the peer has installed it.
    fn snapshot(
        &self,
        to: &PeerId,
        input: BoxStream<'static, pb::SnapshotChunk>,
    ) -> BoxFuture<'static, Result<pb::SnapshotResponse, TransportError>>;
}

/// Why a peer is not answered: an error of whichever room refused. The peer is told its text
/// (`FAILED_PRECONDITION`, [`TransportError::Refused`]) and nothing else, so the kinds end here.
///
/// It is no [`Error`] itself: any error can then become one by `?`.
pub(crate) struct Refused(Box<dyn Error + Send + Sync>);

impl<E: Error + Send + Sync + 'static> From<E> for Refused {
    fn from(why: E) -> Self {
        Self(Box::new(why))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Answering peers.
pub(crate) trait Service: Send + Sync + 'static {
    /// One request, one answer.
    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response, Refused>>;

    /// Serves an append stream until either side ends it.
    fn append_stream(
        &self,
        input: BoxStream<'static, Result<pb::AppendRequest, TransportError>>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, pb::AppendResponse>, Refused>>;

    /// Serves a forward stream.
    fn forward_stream(
        &self,
        input: BoxStream<'static, Result<pb::ForwardRequest, TransportError>>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, pb::ForwardResponse>, Refused>>;

    /// Serves a stream of the bus.
    fn bus_stream(
        &self,
        input: BoxStream<'static, Result<pb::BusRequest, TransportError>>,
    ) -> BoxFuture<'_, Result<BoxStream<'static, pb::BusResponse>, Refused>>;

    /// Receives a snapshot.
    fn snapshot(
        &self,
        input: BoxStream<'static, Result<pb::SnapshotChunk, TransportError>>,
    ) -> BoxFuture<'_, Result<pb::SnapshotResponse, Refused>>;
}
