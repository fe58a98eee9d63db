//! The way of a read: one gate at which many reads wait for one barrier.
//!
//! Not for reads that ride along with a client's writes: those are answered where the writes are
//! applied.

pub(crate) mod gate;
