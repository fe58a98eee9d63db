//! The other replicas.
//!
//! How they are reached, what is known of the way to each, what they ask of this one, and what they
//! may have it do.

pub(crate) mod grpc;
pub(crate) mod links;
pub(crate) mod pace;
pub(crate) mod pieces;
pub(crate) mod service;
pub(crate) mod transport;
pub(crate) mod trust;
