//! Scripts that EVALSHA finds: what SCRIPT LOAD loaded, for good, and what EVAL ran, the newest of
//! it (Redis 7.4 keeps 500 of these too).
//!
//! Who goes is decided when one is added, by the order in which they came, on every replica alike.

use super::{Change, Part, Side};
use crate::digest::{self, Op};
use crate::hex;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use sha1::{Digest as _, Sha1};
use triomphe::Arc;

/// Scripts of EVAL that are kept.
const EVALS_MAX: usize = 500;
/// Bytes of their bodies.
const EVALS_BYTES_MAX: usize = 16 << 20;

/// The SHA-1 of a body.
pub(crate) type Sha = [u8; 20];

/// The digest that a script is called by.
pub(crate) fn sha_of(body: &[u8]) -> Sha {
    Sha1::digest(body).into()
}

/// All of them. Shared by snapshots until one changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scripts(Arc<Inner>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Inner {
    bodies: BTreeMap<Sha, Kept>,
    /// Of EVAL, by the order in which they came.
    evals: BTreeMap<u64, Sha>,
    /// Bytes of their bodies.
    eval_bytes: usize,
    /// Bytes of all bodies.
    bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Kept {
    body: Arc<[u8]>,
    /// Its place among those of EVAL. `None`: it stays.
    eval: Option<u64>,
}

impl Scripts {
    /// The body of a script.
    pub(crate) fn body(&self, sha: &Sha) -> Option<Arc<[u8]>> {
        self.0.bodies.get(sha).map(|kept| kept.body.clone())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.bodies.len()
    }

    /// Bytes of their bodies.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// Keeps a script: for good, or, of EVAL, until others have taken its place.
    pub(crate) fn keep<'s>(&mut self, sha: &'s Sha, body: &[u8], eval: bool) -> Option<Change<'s>> {
        if self.0.bodies.get(sha).is_some_and(|kept| kept.eval.is_none() || eval) {
            return None;
        }
        let inner = Arc::make_mut(&mut self.0);
        inner.forget(sha);
        let number = eval.then(|| inner.evals.last_key_value().map_or(0, |(last, _)| last + 1));
        inner.put(*sha, body, number);
        while inner.evals.len() > EVALS_MAX || inner.eval_bytes > EVALS_BYTES_MAX {
            let Some((_, oldest)) = inner.evals.first_key_value() else { break };
            let oldest = *oldest;
            inner.forget(&oldest);
        }
        Some(Change { of: sha, now: digest::of(body) ^ u64::from(eval) })
    }

    /// SCRIPT FLUSH.
    pub(crate) fn flush(&mut self) -> Option<Change<'static>> {
        if self.0.bodies.is_empty() {
            return None;
        }
        *self = Self::default();
        Some(Change { of: &[], now: 0 })
    }
}

impl Inner {
    fn put(&mut self, sha: Sha, body: &[u8], eval: Option<u64>) {
        if let Some(number) = eval {
            self.evals.insert(number, sha);
            self.eval_bytes += body.len();
        }
        self.bytes += body.len() as u64;
        self.bodies.insert(sha, Kept { body: Arc::from(body), eval });
    }

    fn forget(&mut self, sha: &Sha) {
        let Some(Kept { body, eval }) = self.bodies.remove(sha) else { return };
        self.bytes -= body.len() as u64;
        if let Some(number) = eval {
            self.evals.remove(&number);
            self.eval_bytes -= body.len();
        }
    }
}

impl Part for Scripts {
    const OP: Op = Op::Script;
    const FIELD: &'static str = "quorate.script.";

    fn of(side: &mut Side) -> &mut Self {
        &mut side.scripts
    }

    /// The digest names the field; its value is the place among those of EVAL, or `-`, and the body
    /// in hexadecimal digits.
    fn fields(&self, put: &mut dyn FnMut(&str, &str)) {
        for (sha, Kept { body, eval }) in &self.0.bodies {
            let place = eval.map_or_else(|| "-".into(), |number| alloc::format!("{number}"));
            let name = alloc::format!("{}{}", Self::FIELD, hex::of(sha));
            put(&name, &alloc::format!("{place} {}", hex::of(body)));
        }
    }

    fn restore(&mut self, name: &str, value: &str) -> Option<()> {
        let (place, body) = value.split_once(' ')?;
        let body: Vec<u8> = hex::read(body)?;
        let sha = sha_of(&body);
        let eval = match place {
            "-" => None,
            number => {
                Some(number.parse::<u64>().ok().filter(|it| alloc::format!("{it}") == number)?)
            }
        };
        let inner = Arc::make_mut(&mut self.0);
        let is_new = !inner.bodies.contains_key(&sha)
            && eval.is_none_or(|number| !inner.evals.contains_key(&number));
        if !is_new || String::from_utf8_lossy(name.as_bytes()) != hex::of(&sha) {
            return None;
        }
        inner.put(sha, &body, eval);
        Some(())
    }
}
