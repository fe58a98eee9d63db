//! File descriptors: how many there may be, and how many of them clients may take.
//!
//! A log that cannot open its next segment ends the process, so connections of clients never take
//! the last descriptors: a reserve is kept for everything else, `maxclients` is what the limit
//! leaves, and whoever accepts looks how near the limit is.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Kept for this process's own files: some 25 are open at rest, and a snapshot that is written,
/// verified, sent and received, a segment that is rolled and a look into `/proc` take a dozen more.
const OWN: usize = 64;
/// Kept for each other node: five connections to it, five from it, and those once more that it
/// opens before the old ones are known to be dead.
const PER_PEER: usize = 15;
/// Of the reserve, so many are never given to a connection, whoever else has taken the others.
const LAST: usize = 32;

/// The limit of this process and the part of it that is not for clients.
#[derive(Debug)]
pub(crate) struct Descriptors {
    limit: AtomicUsize,
    reserve: usize,
}

impl Default for Descriptors {
    /// Without a limit.
    fn default() -> Self {
        Self { limit: AtomicUsize::new(usize::MAX), reserve: OWN }
    }
}

impl Descriptors {
    /// Raises the limit for so many clients and other nodes, as far as that goes.
    pub(crate) fn claim(clients: usize, peers: usize) -> Self {
        let this = Self { limit: AtomicUsize::new(0), reserve: OWN + PER_PEER * peers };
        this.raise(clients);
        this
    }

    /// Raises the limit for so many clients, as far as the hard limit allows. One that is higher
    /// already stays.
    fn raise(&self, clients: usize) {
        let wanted = clients.saturating_add(self.reserve) as u64;
        let mut now = getrlimit(Resource::Nofile);
        if now.current.is_some_and(|current| current < wanted) {
            let current = Some(now.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
            if setrlimit(Resource::Nofile, Rlimit { current, ..now }).is_ok() {
                now.current = current;
            }
        }
        let limit = now.current.and_then(|current| usize::try_from(current).ok());
        self.limit.store(limit.unwrap_or(usize::MAX), Relaxed);
    }

    /// Descriptors of this process at most.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Those that are not for clients.
    pub(crate) fn reserve(&self) -> usize {
        self.reserve
    }

    /// Clients that may be connected at most; 0: the limit is too low for a node.
    pub(crate) fn clients_max(&self) -> usize {
        self.limit().saturating_sub(self.reserve)
    }

    /// Makes room for so many clients; otherwise for how many there is.
    pub(crate) fn make_room(&self, clients: usize) -> Result<(), usize> {
        if clients > self.clients_max() {
            self.raise(clients);
        }
        if clients > self.clients_max() { Err(self.clients_max()) } else { Ok(()) }
    }

    /// Whether a connection with this descriptor takes one of the last. The system gives the lowest
    /// that is free, so all below are taken.
    pub(crate) fn is_of_the_last(&self, descriptor: i32) -> bool {
        let descriptor = usize::try_from(descriptor).unwrap_or(0);
        descriptor >= self.limit().saturating_sub(LAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_nobodys() {
        let check = |limit, clients: usize, expected| {
            let own = Descriptors { limit: AtomicUsize::new(limit), reserve: OWN + 2 * PER_PEER };
            assert_eq!(own.clients_max(), clients, "{limit}");
            assert_eq!(own.is_of_the_last(200), expected, "{limit}");
        };
        check(usize::MAX, usize::MAX - 94, false);
        check(1024, 930, false);
        check(256, 162, false);
        check(232, 138, true);
        check(94, 0, true);
        check(0, 0, true);
    }

    #[test]
    fn no_limit_is_raised_beyond_the_hard_one() {
        let own = Descriptors::claim(1, 2);
        assert!(own.clients_max() >= 1);
        let most = usize::MAX - own.reserve() - 1;
        match getrlimit(Resource::Nofile).maximum {
            Some(hard) => {
                let hard = usize::try_from(hard).expect("a small one") - own.reserve();
                assert_eq!(own.make_room(most), Err(hard));
                assert_eq!(own.make_room(hard), Ok(()));
            }
            None => assert_eq!(own.make_room(most), Ok(())),
        }
    }
}
