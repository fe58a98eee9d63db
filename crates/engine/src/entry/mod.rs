//! Log entries: what a batch of commands becomes, and what an entry does to the state.
//!
//! The leader *seals* a batch once ([`seal()`]): the result is the entry's payload, and a plan of
//! the replies that stays in its memory. Every replica *applies* the payload ([`apply()`]), and the
//! one that has the plan makes the replies. `payload` is the text in the log, `hidden` the form of
//! commands that stock Redis must not see, `retell` what a replica of Redis 7.0 is told instead.
//! Whoever waits for somebody else's write stands in `waiting` on the leader, and is served by what
//! sealing logs.
//!
//! Nothing here knows how an entry reaches the log, or the peers.

mod ahead;
mod apply;
mod hidden;
mod payload;
mod replies;
mod retell;
mod script;
mod seal;
mod waiter;
mod waiting;

pub use apply::{Applied, Outcome, Served, apply, apply_told};
pub use payload::{Decoded, Guard, Run, RunKind, decode};
pub use replies::{Plan, read};
pub(crate) use retell::{Applying, Teller};
pub use script::function_stats;
pub use seal::{Refusal, SealLimits, Sealed, rehearse, rehearse_with, seal, seal_beside};
pub use waiter::{Registration, Waiter};
pub use waiting::{Waiting, give_back};
