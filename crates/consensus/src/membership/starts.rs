//! Each start of a member becomes a fact in the log: the leader hears of it and logs it.
//!
//! From then on nobody listens to an older start of that member. Who may be listened to is looked
//! up in `members`.

use crate::env::Env;
use crate::leadership::Route;
use crate::membership::members::Start;
use crate::proto as pb;
use crate::shared::Shared;
use crate::write::queue::{Work, ask, is_over};
use std::sync::Arc;
use std::time::Duration;

/// How often the leader looks for starts that are not logged yet.
const PERIOD: Duration = Duration::from_millis(100);

/// Logs the starts that the leader hears of, one after the other.
pub(crate) async fn run<E: Env>(shared: Arc<Shared<E>>) {
    let mut pending = None;
    while !shared.queue.is_closed() {
        E::sleep(PERIOD).await;
        if !matches!(shared.route(), Route::Lead(_)) || !is_over(&mut pending) {
            continue;
        }
        let is_member = |node: u64| shared.is_member(node);
        if let Some((node, start)) = shared.guard.news(&is_member) {
            let Start { incarnation, nonce } = start;
            let fact = pb::MemberFact { node, incarnation, start: nonce, removed_at: 0 };
            pending = Some(ask(&shared.queue, Work::Fact(fact), shared.env.elapsed()));
        }
    }
}
