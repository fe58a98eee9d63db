//! Internal commands through the log, for commands of the server that change replicated state.
//!
//! They take the way of a client's write, and their outcome has the same three forms.

use super::bulk;
use crate::backend::Backend;
use bytes::BytesMut;
use quorate_consensus::Answer;
use quorate_engine::{Run, RunKind};
use quorate_resp::{Proto, Reply};

/// Sends an internal command through the log.
pub(super) async fn through_log<B: Backend>(node: &B, args: &[Vec<u8>]) -> Reply<'static> {
    let mut commands = BytesMut::new();
    quorate_resp::write_command(&mut commands, args.iter().map(Vec::as_slice));
    let run = Run {
        db: quorate_engine::Db(0),
        proto: Proto::Resp2,
        commands: commands.freeze(),
        count: 1,
        kind: RunKind::Commands,
    };
    match node.submit(run).await {
        Answer::Replies(bytes, _) => {
            match bytes.strip_suffix(b"\r\n").and_then(<[u8]>::split_first) {
                Some((b'+', line)) => Reply::Simple(super::text(line).into_owned().into()),
                Some((b'-', line)) => Reply::error_of(&[line]),
                _ => bulk(bytes.to_vec()),
            }
        }
        Answer::NotApplied(why) => Reply::error(crate::refusal::not_applied(&why)),
        Answer::Uncertain => Reply::error(crate::refusal::UNCERTAIN),
    }
}
