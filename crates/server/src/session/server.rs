//! Running one command of the server, and showing commands to monitors.
//!
//! A handler gets what its row says that it needs; whatever it asks to be awaited is carried out by
//! [`perform`] while the session waits.

use super::Session;
use crate::backend::Backend;
use crate::command::{Call, Client, Look, ReplyMode, Row, Run, View, Work, perform};
use crate::refusal::no_read;
use crate::registry::Entry;
use crate::settings::quoted;
use crate::shared::Shared;
use bytes::Bytes;
use quorate_consensus::Role;
use quorate_engine::Flags;
use quorate_resp::{Args, Reply};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// How long a look at this replica waits for what its clients were told is written.
const CATCH_UP_MAX: Duration = Duration::from_secs(1);

/// A follower's client may hear of its write before the follower has applied it. Whoever looks then
/// waits for that, but not for long: a node without a leader still says how it is.
async fn catch_up<B: Backend>(node: &B, shared: &Shared) {
    let answered = shared.writes_answered.load(Relaxed);
    if answered <= shared.writes_seen.load(Relaxed) || !node.is_ready() {
        return;
    }
    // A leader answers when it has applied.
    let seen = node.status().role == Role::Leader
        || matches!(tokio::time::timeout(CATCH_UP_MAX, node.read()).await, Ok(Ok(_)));
    if seen {
        shared.writes_seen.fetch_max(answered, Relaxed);
    }
}

/// What became of a command.
pub(super) enum Called {
    /// It ran; the reply, if there is one.
    Answer(Option<Reply<'static>>),
    /// The session has to do this, and to answer.
    Left(Work),
}

/// Carries out a command of the server.
pub(super) async fn call<B: Backend>(
    (node, shared): (&B, &Arc<Shared>),
    client: &mut Client,
    (entry, row): (&'static Entry, &'static Row),
    args: Args<'_>,
) -> Called {
    let mut call = Call { shared, client, entry };
    let answer = match row.run {
        Run::Here(run) => Some(run(&mut call, args)),
        Run::Look(run, exact) => Some(look(node, call, (run, exact), args).await),
        Run::Ask(run) => match run(&mut call, args) {
            Ok(work @ (Work::Snapshot { .. } | Work::Exec(..))) => return Called::Left(work),
            Ok(work) => perform(work, node, shared, client).await,
            Err(reply) => Some(reply),
        },
        Run::Parent => None,
    };
    Called::Answer(answer)
}

async fn look<B: Backend>(
    node: &B,
    mut call: Call<'_>,
    (run, exact): (Look, bool),
    args: Args<'_>,
) -> Reply<'static> {
    if !exact {
        catch_up(node, call.shared).await;
    }
    let (status, ready) = (node.status(), node.is_ready());
    let guard = if exact {
        match node.read().await {
            Ok(guard) => guard,
            Err(why) => return Reply::error(no_read(&why)),
        }
    } else {
        node.peek().await
    };
    run(&mut call, &View { keyspace: &guard, status: &status, ready }, args)
}

impl<B: Backend> Session<B> {
    /// Runs the command at the front of the intake.
    pub(super) async fn serve_server(&mut self, entry: &'static Entry, row: &'static Row) {
        let started = Instant::now();
        self.client.peer.command.store(entry.id, Relaxed);
        self.show_sizes(0);
        let flags = entry.meta.flags;
        if !flags.has(Flags::ADMIN) && !flags.has(Flags::SKIP_MONITOR) {
            self.monitor(entry, self.intake.args());
        }
        let before = self.client.reply_mode;
        let reply = self.call(entry, row).await;
        if flags.has(Flags::SKIP_MONITOR) {
            // Behind what it carried out.
            self.monitor(entry, self.intake.args());
        }
        if let Some(Reply::Error(line)) = &reply {
            self.shared.stats.failed(entry.id, line.as_bytes());
        }
        // What a replica was sent until it went is no measure of anything.
        self.client.done(Some(entry));
        let ended = self.client.closing;
        let nanos = if ended { 0 } else { started.elapsed().as_nanos() as u64 };
        self.note(entry, nanos, self.intake.args());
        self.intake.consume();
        if self.intake.limits.authenticated != self.client.authenticated {
            self.set_limits();
        }
        self.answer(before, reply.as_ref());
    }

    /// Sends the reply unless `CLIENT REPLY` says otherwise; that command itself may have changed
    /// what is wanted.
    fn answer(&mut self, before: ReplyMode, reply: Option<&Reply<'static>>) {
        let after = self.client.reply_mode;
        let has_frames = self.send_frames();
        let Some(reply) = reply else {
            if has_frames && after == ReplyMode::Skip {
                self.client.reply_mode = ReplyMode::On;
            }
            return;
        };
        if !self.client.preface.is_empty() && after == ReplyMode::On {
            self.output.extend_from_slice(&std::mem::take(&mut self.client.preface));
        }
        if before == after {
            self.emit(reply);
        } else if after == ReplyMode::On {
            reply.encode(self.client.proto, &mut self.output);
        }
    }

    /// Carries out the command at the front of the intake.
    async fn call(&mut self, entry: &'static Entry, row: &'static Row) -> Option<Reply<'static>> {
        let (node, shared) = (self.node.clone(), Arc::clone(&self.shared));
        let args = self.intake.args();
        match call((&node, &shared), &mut self.client, (entry, row), args).await {
            Called::Answer(reply) => return reply,
            Called::Left(Work::Snapshot { heading }) => self.send_snapshot(heading).await,
            Called::Left(Work::Exec(queue, guards)) => self.exec(queue, guards).await,
            Called::Left(_) => {}
        }
        None
    }

    /// Shows a command to those who asked with MONITOR. One load when there is nobody.
    pub(super) fn monitor(&self, entry: &Entry, args: Args<'_>) {
        if self.shared.clients.any_monitor() {
            self.show_monitors(entry, args);
        }
    }

    #[cold]
    fn show_monitors(&self, entry: &Entry, args: Args<'_>) {
        let now = crate::shared::unix_micros();
        let (seconds, micros) = (now / 1_000_000, now % 1_000_000);
        let (db, address) = (self.client.db.0, self.client.peer.address);
        let mut line = format!("+{seconds}.{micros:06} [{db} {address}]");
        let secret = entry.meta.flags.has(Flags::SECRET);
        for (at, arg) in args.iter().enumerate() {
            line.push(' ');
            if secret && at > 0 {
                line.push_str("\"(redacted)\"");
            } else {
                line.push_str(&quoted(arg));
            }
        }
        line.push_str("\r\n");
        let line = Bytes::from(line);
        for peer in self.shared.clients.all() {
            if peer.monitor.load(Relaxed) {
                peer.push(line.clone());
            }
        }
    }
}
