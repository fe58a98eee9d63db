//! What the black-box tests share: real processes ([`cluster`]), a RESP client ([`client`]), load
//! that remembers what was acknowledged ([`load`]), a linearizability checker ([`history`]), one
//! for transactions ([`append`]), slow links between replicas ([`link`]), transcripts ([`script`]),
//! commands made from a seed ([`generate`]), and damage to data directories ([`damage`]). Nothing
//! here knows the insides of
//! the server: a test sees what an operator and a client see.

pub mod append;
pub mod client;
pub mod cluster;
pub mod contents;
pub mod damage;
pub mod generate;
pub mod history;
pub mod link;
pub mod load;
pub mod port;
pub mod random;
pub mod redis;
pub mod script;
pub mod sessions;
pub mod shim;
pub mod small_disk;
pub mod wait;
