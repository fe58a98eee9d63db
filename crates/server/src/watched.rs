//! Keys that readers on this node wait for (XREAD with BLOCK).
//!
//! A reader says what it waits for while it still holds the state in which it found nothing, so
//! that it cannot miss what is applied next. It is woken when this node applies a change of one of
//! its keys, whatever the change, and looks again by itself.

use quorate_consensus::Wanted;
use quorate_engine::{Changed, Db};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Who waits for a key.
type Readers = BTreeMap<u64, Arc<Notify>>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Watched {
    wanted: Arc<Wanted>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    keys: BTreeMap<Db, BTreeMap<Box<[u8]>, Readers>>,
}

impl Watched {
    /// Nobody waits. Whether changes are to be told is said to `wanted`.
    pub(crate) fn new(wanted: Arc<Wanted>) -> Self {
        Self { wanted, table: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a change of these keys. To be called while the state is held in which there was
    /// nothing.
    pub(crate) fn watch<'k>(
        self: &Arc<Self>,
        db: Db,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Watch {
        self.wanted.add();
        let wake = Arc::new(Notify::new());
        let keys: Vec<Box<[u8]>> = keys.map(Box::from).collect();
        let mut table = self.lock();
        table.last += 1;
        let id = table.last;
        let of = table.keys.entry(db).or_default();
        for key in &keys {
            of.entry(key.clone()).or_default().insert(id, Arc::clone(&wake));
        }
        Watch { watched: Arc::clone(self), db, keys, id, wake }
    }

    /// These keys have changed.
    pub(crate) fn changed(&self, changed: &Changed) {
        if changed.is_empty() {
            return;
        }
        let table = self.lock();
        for (db, key) in &changed.keys {
            wake(table.keys.get(db).and_then(|keys| keys.get(key)));
        }
        let all = table.keys.iter().filter(|(db, _)| changed.is_all_of(**db));
        all.for_each(|(_, keys)| wake(keys.values()));
    }

    /// Any key may have changed.
    pub(crate) fn replaced(&self) {
        self.lock().keys.values().for_each(|keys| wake(keys.values()));
    }
}

fn wake<'r>(readers: impl IntoIterator<Item = &'r Readers>) {
    readers.into_iter().flat_map(BTreeMap::values).for_each(|reader| reader.notify_one());
}

/// One who waits; dropped, it waits no longer.
#[derive(Debug)]
pub(crate) struct Watch {
    watched: Arc<Watched>,
    db: Db,
    keys: Vec<Box<[u8]>>,
    id: u64,
    wake: Arc<Notify>,
}

impl Watch {
    /// Resolves when one of the keys has changed since this was asked last.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut table = self.watched.lock();
        if let Some(of) = table.keys.get_mut(&self.db) {
            for key in &self.keys {
                let Some(readers) = of.get_mut(key) else { continue };
                readers.remove(&self.id);
                if readers.is_empty() {
                    of.remove(key);
                }
            }
        }
        drop(table);
        self.watched.wanted.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn changed(db: u8, key: &[u8]) -> Changed {
        let mut changed = Changed::default();
        changed.keys.push((Db(db), key.into()));
        changed
    }

    #[test]
    fn a_reader_is_woken_by_its_keys_alone() {
        let wanted = Arc::new(Wanted::new(&Arc::default()));
        let watched = Arc::new(Watched::new(Arc::clone(&wanted)));
        let watch = watched.watch(Db(1), [&b"a"[..], b"b"].into_iter());
        let woken = || pin!(watch.woken()).poll(&mut Context::from_waker(Waker::noop())).is_ready();
        assert!(wanted.any() && !woken());
        for (db, key, wakes) in [(0, b"a", false), (1, b"c", false), (1, b"a", true)] {
            watched.changed(&changed(db, key));
            assert_eq!(woken(), wakes, "{db} {key:?}");
        }
        let mut all = Changed::default();
        all.dbs = 1 << 1;
        watched.changed(&all);
        assert!(woken() && !woken());
        watched.replaced();
        assert!(woken());
        drop(watch);
        assert!(!wanted.any());
        assert!(watched.lock().keys.values().all(BTreeMap::is_empty));
    }
}
