//! Descriptors that are kept for the log's files.
//!
//! A log that cannot open its next segment cannot go on, and others in this process or on this
//! machine may have taken every descriptor. A few are held open for nothing; where none is to be
//! had for a file, one of them is given back and the file opened in its place.

use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Kept at most: a segment, a draft, and the directory of each, on two threads.
const SPARES_MAX: usize = 4;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Spares(Mutex<Vec<File>>);

impl Spares {
    /// As many as can be had.
    pub(crate) fn new() -> Self {
        let this = Self::default();
        this.refill();
        this
    }

    fn lock(&self) -> MutexGuard<'_, Vec<File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens something, with a spare descriptor where there is no other. Somebody else may be
    /// faster and take the one that was given back, so each is tried.
    pub(crate) fn open<T>(&self, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let mut outcome = open();
        while outcome.as_ref().is_err_and(none_left) && self.lock().pop().is_some() {
            outcome = open();
        }
        if outcome.is_ok() {
            self.refill();
        }
        outcome
    }

    fn refill(&self) {
        let mut spares = self.lock();
        while spares.len() < SPARES_MAX {
            let Ok(spare) = File::open("/dev/null") else { return };
            spares.push(spare);
        }
    }
}

/// This process has as many as it may, or the system.
fn none_left(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE].iter().any(|it| code == Some(it.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// How often something is opened that fails so often, and how it ends.
    fn check(failures: usize, error: Errno, expected: (usize, bool)) {
        let (spares, calls) = (Spares::new(), Cell::new(0));
        let outcome = spares.open(|| {
            calls.set(calls.get() + 1);
            if calls.get() > failures { Ok(()) } else { Err(io::Error::from(error)) }
        });
        assert_eq!((calls.get(), outcome.is_ok()), expected, "{failures} of {error:?}");
        let left = if outcome.is_ok() || error == Errno::NOENT { SPARES_MAX } else { 0 };
        assert_eq!(spares.lock().len(), left, "{failures} of {error:?}");
    }

    #[test]
    fn a_spare_descriptor_is_used_where_there_is_no_other() {
        check(0, Errno::MFILE, (1, true));
        check(1, Errno::MFILE, (2, true));
        check(1, Errno::NFILE, (2, true));
        check(SPARES_MAX, Errno::NFILE, (SPARES_MAX + 1, true));
        check(99, Errno::MFILE, (SPARES_MAX + 1, false));
        check(99, Errno::NOENT, (1, false));
    }
}
