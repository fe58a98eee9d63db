//! Passwords: kept as digests, compared in constant time.
//!
//! What a client sent is hashed first, so that the comparison takes the same time for every
//! password, whatever its length and wherever it differs.

use sha2::{Digest, Sha256};

/// A password's digest. The password itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Secret([u8; 32]);

impl Secret {
    /// Digests a password.
    pub(crate) fn new(password: &[u8]) -> Self {
        Self(Sha256::digest(password).into())
    }

    /// Whether `password` is the one. Both sides are digests of one length, compared without an
    /// early exit, so the time taken says nothing about the secret.
    pub(crate) fn is(&self, password: &[u8]) -> bool {
        let given = Self::new(password);
        let difference = self.0.iter().zip(given.0.iter()).fold(0, |sum, (a, b)| sum | (a ^ b));
        std::hint::black_box(difference) == 0
    }
}
