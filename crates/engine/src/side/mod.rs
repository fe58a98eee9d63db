//! Side state: what is replicated and is not a key.

pub(crate) mod settings;
