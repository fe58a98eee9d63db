//! Snapshots: taken at a cut (`take`), loaded at a start (`load`), sent to a replica that is far
//! behind (`transfer`), given to somebody outside (`backup`, and `feed` for what is applied behind
//! one). What Raft must know of one stands in its own fields (`facts`). `offline` is for the
//! tools, on the directory of a node that does not run.

pub(crate) mod backup;
pub(crate) mod content;
pub(crate) mod error;
pub(crate) mod facts;
pub(crate) mod feed;
pub(crate) mod load;
pub(crate) mod offline;
pub(crate) mod take;
pub(crate) mod transfer;
