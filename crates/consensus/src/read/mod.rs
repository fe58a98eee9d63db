//! The way of a read: one gate at which many reads wait for one barrier.

pub(crate) mod gate;
