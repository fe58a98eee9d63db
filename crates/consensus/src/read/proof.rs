//! Up to which moment everything that was acknowledged anywhere is applied here, as is proved.
//!
//! Kept with the gate, whose rounds prove it; [`fresh`](crate::read::fresh) looks how old it is.

use crate::lock::lock;
use std::sync::Mutex;
use std::time::Duration;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Proof(Mutex<Proved>);

#[derive(Debug, Default)]
struct Proved {
    /// Up to this monotonic time.
    until: Option<Duration>,
    /// Whether that was recent when the server was told last.
    told: bool,
}

impl Proof {
    /// Everything acknowledged before this moment is applied here. `tell` hears that this is
    /// recent, unless it has heard so before: nobody goes on before it has.
    pub(super) fn prove(&self, began: Duration, tell: impl FnOnce()) {
        let mut proved = lock(&self.0);
        proved.until = proved.until.max(Some(began));
        if !std::mem::replace(&mut proved.told, true) {
            tell();
        }
    }

    /// How long ago that was. Beyond the limit `tell` hears so, once.
    pub(super) fn age(
        &self,
        now: Duration,
        limit: Duration,
        tell: impl FnOnce(),
    ) -> Option<Duration> {
        let mut proved = lock(&self.0);
        let age = proved.until.map(|until| now.saturating_sub(until));
        if age.is_none_or(|age| age >= limit) && std::mem::take(&mut proved.told) {
            tell();
        }
        age
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_proved_is_told_when_it_turns() {
        let (proof, second) = (Proof::default(), Duration::from_secs);
        let never = || panic!("it has not turned");
        assert_eq!(proof.age(second(9), second(3), never), None);
        let mut told = 0;
        proof.prove(second(10), || told += 1);
        proof.prove(second(12), never);
        proof.prove(second(11), never);
        assert_eq!(proof.age(second(14), second(3), never), Some(second(2)));
        assert_eq!(proof.age(second(15), second(3), || told += 1), Some(second(3)));
        assert_eq!(proof.age(second(16), second(3), never), Some(second(4)));
        proof.prove(second(13), || told += 1);
        assert_eq!(told, 3);
    }
}
