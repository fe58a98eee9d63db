//! Why this process must stop, told by whoever finds out (a failed sync, a state that differs, an
//! entry that cannot be applied) to whoever can stop it. The first reason counts; what comes after
//! it is its consequence.

use crate::api::Failed;
use std::sync::OnceLock;
use tokio::sync::Notify;

/// Why this process must stop.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    reason: OnceLock<Failed>,
    set: Notify,
}

impl Failure {
    /// The first reason counts.
    pub(crate) fn set(&self, why: String) {
        self.note(Failed { why, diverged: false });
    }

    /// This replica holds something else than the others. The first reason counts.
    pub(crate) fn diverge(&self, why: String) {
        self.note(Failed { why, diverged: true });
    }

    /// The first reason counts.
    pub(crate) fn note(&self, reason: Failed) {
        if let Ok(()) = self.reason.set(reason) {
            self.set.notify_waiters();
        }
    }

    /// The reason, if there is one.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn get(&self) -> Option<&Failed> {
        self.reason.get()
    }

    /// Resolves with the reason.
    pub(crate) async fn wait(&self) -> Failed {
        loop {
            let set = self.set.notified();
            if let Some(reason) = self.reason.get() {
                return reason.clone();
            }
            set.await;
        }
    }
}
