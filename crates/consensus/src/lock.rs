//! One way to take a lock.
//!
//! A poisoned one is taken like any other: in a release build a panic ends the process, and in a
//! test what comes after it should show the first failure.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; a panic elsewhere does not make the value useless (and ends the process in production).
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
