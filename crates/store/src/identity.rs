//! Who a replica is, and how that is written in the log's records.
//!
//! The name stands in the log and in `facts/`; which of the two is believed is decided there
//! (`facts`).

/// Who this replica is. Drawn once per data directory; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Identity {
    /// The cluster, 128 random bits; `None` until it is known.
    pub cluster: Option<u128>,
    /// This replica, random and not 0.
    pub node: u64,
    /// Starts of this replica; raised at every start.
    pub incarnation: u64,
}

/// `cluster <32 digits or -> node <n> incarnation <n>`, or `identity -`.
pub(crate) fn encode_identity(identity: Option<&Identity>) -> String {
    identity.map_or("identity -".to_owned(), |identity| {
        let cluster = identity.cluster.map_or("-".to_owned(), |cluster| format!("{cluster:032x}"));
        format!("cluster {cluster} node {} incarnation {}", identity.node, identity.incarnation)
    })
}

/// Undoes [`encode_identity`].
#[allow(clippy::option_option, reason = "outer: readable; inner: known")]
pub(crate) fn decode_identity(text: &str) -> Option<Option<Identity>> {
    let words: Vec<&str> = text.split(' ').collect();
    match *words {
        ["identity", "-"] => Some(None),
        ["cluster", cluster, "node", node, "incarnation", incarnation] => Some(Some(Identity {
            cluster: match cluster {
                "-" => None,
                digits => Some(u128::from_str_radix(digits, 16).ok()?),
            },
            node: node.parse().ok()?,
            incarnation: incarnation.parse().ok()?,
        })),
        _ => None,
    }
}
