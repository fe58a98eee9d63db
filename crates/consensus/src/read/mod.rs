//! The way of a read: a gate at which many reads wait (`gate`), and the one barrier that lets all
//! of them through (`round`). On a follower the round is a question to the leader; nothing is read
//! before this replica has applied as far as the answer says. What the last round has proved is
//! kept (`fresh`), for those who believe what they have read for longer.

pub(crate) mod fresh;
pub(crate) mod gate;
pub(crate) mod proof;
pub(crate) mod round;
