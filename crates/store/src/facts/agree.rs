//! Which name a replica bears at this start, by what its log and its facts say.
//!
//! The log is where promises are kept, so nothing else gives a name to a log that cannot know of
//! them.

use crate::{Identity, Recovered, StoreError};

const ADVICE: &str = "Restore the whole directory, or move all of it aside and let the node join \
                      again as a new one";

impl Identity {
    /// Who a replica is at this start, by what its log and its facts say. The log is where promises
    /// are kept, so nothing else gives a name to a log that cannot know of them: a log that was
    /// made just now, one of another replica, or an older copy is refused; the text says what to
    /// do. `draw` gives random bits for a fresh directory.
    pub fn agree(
        log: &Recovered,
        kept: Option<Self>,
        draw: &mut dyn FnMut() -> u64,
    ) -> Result<Self, StoreError> {
        let refuse = |what: String| Err(StoreError::Corrupt(format!("{what}. {ADVICE}")));
        let known = match (log.identity, kept) {
            (None, Some(Self { cluster: Some(cluster), node, .. })) => {
                let how = if log.created { "is not there" } else { "is another one's" };
                return refuse(format!(
                    "facts/ says that this is node {node} of cluster {cluster:032x}, but its log \
                     {how}: it must not vote under that name"
                ));
            }
            (None, None) if log.last.is_some() => {
                return refuse("the log does not say whose it is".to_owned());
            }
            (Some(of_log), Some(kept)) => {
                let strange = of_log.cluster.is_some()
                    && kept.cluster.is_some()
                    && of_log.cluster != kept.cluster;
                if of_log.node != kept.node || strange {
                    return refuse(format!(
                        "facts/ belongs to node {}, the log to node {}: these are parts of two \
                         directories",
                        kept.node, of_log.node
                    ));
                }
                // Each start is noted in the log first.
                if kept.incarnation > of_log.incarnation {
                    return refuse(format!(
                        "facts/ knows of start {} of node {}, the log only of start {}: the log \
                         is an older copy. (Remove facts/ if you know that it is not.)",
                        kept.incarnation, of_log.node, of_log.incarnation
                    ));
                }
                Some(Self { cluster: of_log.cluster.or(kept.cluster), ..of_log })
            }
            (Some(of_log), None) => Some(of_log),
            (None, Some(kept)) if !log.created => Some(kept),
            (None, _) => None,
        };
        let known = known.unwrap_or_else(|| {
            let node = std::iter::repeat_with(draw).find(|node| *node != 0).unwrap_or(1);
            Self { cluster: None, node, incarnation: 0 }
        });
        Ok(Self { incarnation: known.incarnation + 1, ..known })
    }
}
