//! Each start of a member becomes a fact in the log: the leader hears of it
//! with a follower's answers and logs it, one after the other. What follows
//! from such a fact is in `members`.

use crate::env::Env;
use crate::group::Group;
use crate::leadership::Route;
use crate::membership::members::Start;
use crate::peer::trust::Trust;
use crate::proto as pb;
use crate::write::queue::{Work, is_over};
use std::sync::Arc;
use std::time::Duration;

/// How often the leader looks for starts that are not logged yet.
const PERIOD: Duration = Duration::from_millis(100);

/// Logs the starts that the leader hears of, one after the other.
pub(crate) async fn run<E: Env>(group: Group<E>, trust: Arc<Trust<E>>) {
    let mut pending = None;
    while !group.writes.queue.is_closed() {
        E::sleep(PERIOD).await;
        if !matches!(group.leadership.route(), Route::Lead(_)) || !is_over(&mut pending) {
            continue;
        }
        let is_member = |node: u64| trust.is_member(node);
        if let Some((node, start)) = group.process.guard.news(&is_member) {
            let Start { incarnation, nonce } = start;
            let fact = pb::MemberFact { node, incarnation, start: nonce, removed_at: 0 };
            pending = Some(group.writes.queue.ask(Work::Fact(fact), group.process.env.elapsed()));
        }
    }
}
