//! One way to take a lock. A panic in another task does not make a value useless here: in
//! production it ends the process, and in tests it is the panic that should be seen, not a poisoned
//! lock after it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; a panic elsewhere does not make the value useless (and ends the process in production).
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
