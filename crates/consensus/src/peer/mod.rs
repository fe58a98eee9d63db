//! The other replicas: how they are reached, what is known of the way to each, what they ask of
//! this one, and what they may have it do. Messages are those of `proto/peer.proto`; only `grpc`
//! knows tonic.

pub(crate) mod grpc;
pub(crate) mod links;
pub(crate) mod pace;
pub(crate) mod pieces;
pub(crate) mod service;
pub(crate) mod transport;
pub(crate) mod trust;
