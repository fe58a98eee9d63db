//! One trial: real processes on a damaged copy, alone or as a member of three, and a verdict on
//! what they did.
//!
//! What must not happen: an answer that lacks an acknowledged write, replicas that differ, a panic,
//! a refusal without a word of what to do, or nothing at all. Whether a damage is repaired, refused
//! or answered with a new replica is the server's choice.

use super::prepared::Prepared;
use super::writes::{PROBE, Seen, look};
use super::{Case, Damage, WHOLE};
use crate::client::{Client, is_ok};
use crate::cluster::Replica;
use crate::wait::within;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

/// Neither an answer nor an end for so long is a hang.
const ALONE_LIMIT: Duration = Duration::from_secs(20);

/// How long a damaged member and one other are watched for a leader of their own. None is right as
/// well, so this decides only how much a trial sees: several times the greatest election time-out.
const QUORUM_LIMIT: Duration = Duration::from_secs(3);

/// With all members started, everything must be served through all of them within this.
const CLUSTER_LIMIT: Duration = Duration::from_secs(30);

/// The limit for one round of questions: longer than a node holds a request while it has no leader.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Words of which a refusal needs one, because they say what to do.
const ADVICE: &[&str] = &["aside", "restore", "join again", "remove", "repair", "quorate check"];

/// What came of a damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The victim ended, or stays but refuses, and says what to do; its words.
    Refused(String),
    /// Every acknowledged write is served, by the same replica as before.
    Whole,
    /// The same, by a new replica in the victim's place.
    New,
    /// A whole earlier copy, started alone, serves what it has: nobody can tell it from a restored
    /// backup.
    OldCopy,
    /// It serves, and not what was acknowledged; or replicas differ.
    Wrong(String),
    /// It panicked, or died of a signal.
    Panicked(String),
    /// It neither served nor ended.
    Hung(String),
    /// It ended without saying what to do.
    Unadvised(String),
}

impl Verdict {
    /// Whether this may not happen.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Wrong(_) | Self::Panicked(_) | Self::Hung(_) | Self::Unadvised(_))
    }

    /// What was seen or said, if it is worth a word.
    pub fn words(&self) -> Option<&str> {
        match self {
            Self::Refused(words)
            | Self::Wrong(words)
            | Self::Panicked(words)
            | Self::Hung(words)
            | Self::Unadvised(words) => Some(words),
            Self::Whole | Self::New | Self::OldCopy => None,
        }
    }
}

/// Runs one case in `dir`, which is empty; what it leaves there is the caller's to remove.
pub fn run(prepared: &Prepared, case: &Case, dir: &Path) -> Verdict {
    let mut replicas = prepared.replicas(dir);
    case.apply(&replicas[prepared.victim].dir, prepared.sources()).expect("damage can be done");
    let verdict = match prepared.lagging {
        None => alone(&mut replicas[0]),
        Some(lagging) => {
            // Of a whole earlier copy nothing in it and nothing on the lagging member can tell what
            // it acknowledged since; it must find that out from a member that has it.
            let first = if is_old_copy(case) { prepared.third() } else { None };
            member(prepared, &mut replicas, first.unwrap_or(lagging))
        }
    };
    for replica in &mut replicas {
        replica.kill();
    }
    let verdict = match replicas.iter().find_map(|replica| panic_line(&replica.output())) {
        Some(line) if !matches!(verdict, Verdict::Wrong(_)) => Verdict::Panicked(line),
        _ => verdict,
    };
    match verdict {
        Verdict::Wrong(_) if is_old_copy(case) && prepared.lagging.is_none() => Verdict::OldCopy,
        other => other,
    }
}

fn is_old_copy(case: &Case) -> bool {
    case.file == WHOLE && matches!(case.damage, Damage::Old(_))
}

/// Starts it, writes to it, kills it and starts it again: damage that the first start steps over
/// must not cost anything at the second.
fn alone(replica: &mut Replica) -> Verdict {
    for _ in 0..2 {
        replica.start();
        if let Err(verdict) = serve(replica) {
            return verdict;
        }
        replica.kill();
    }
    Verdict::Whole
}

/// Waits until a node alone serves everything and accepts a write.
fn serve(replica: &mut Replica) -> Result<(), Verdict> {
    let mut last = String::from("it does not listen");
    let outcome = within(ALONE_LIMIT, || {
        if let Some(status) = replica.ended() {
            return Some(Err(ended(status, &replica.output())));
        }
        match look(replica.port, ANSWER_LIMIT) {
            Seen::Whole if accepts(replica) => Some(Ok(())),
            Seen::Whole => None,
            Seen::Wrong(why) => Some(Err(Verdict::Wrong(why))),
            Seen::Nothing(why) => {
                last = why;
                None
            }
        }
    });
    outcome.unwrap_or_else(|| Err(silent(&last, &replica.output())))
}

fn accepts(replica: &Replica) -> bool {
    Client::connect(replica.port, ANSWER_LIMIT)
        .and_then(|mut client| client.call(&["SET", PROBE, "1"]))
        .is_ok_and(|reply| is_ok(&reply))
}

/// A process that ended by itself.
fn ended(status: ExitStatus, output: &str) -> Verdict {
    let said = last_words(output);
    if let Some(line) = panic_line(output) {
        return Verdict::Panicked(line);
    }
    match (status.signal(), status.code()) {
        (Some(signal), _) => Verdict::Panicked(format!("signal {signal}: {said}")),
        (_, Some(code @ (101 | 134))) => Verdict::Panicked(format!("exit {code}: {said}")),
        _ if advises(&said) => Verdict::Refused(said),
        (_, code) => Verdict::Unadvised(format!("exit {code:?}: {said}")),
    }
}

/// A process that stays and serves nothing: a refusal too, if it says what to do.
fn silent(answer: &str, output: &str) -> Verdict {
    let complaint = output.lines().rev().find(|line| line.contains(" ERROR ")).unwrap_or_default();
    match [answer, complaint].into_iter().find(|words| advises(words)) {
        Some(words) => Verdict::Refused(format!("stays, and says: {words}")),
        None => Verdict::Hung(format!("answers {answer:?}; {}", last_words(output))),
    }
}

fn advises(words: &str) -> bool {
    let words = words.to_lowercase();
    ADVICE.iter().any(|advice| words.contains(advice))
}

fn panic_line(output: &str) -> Option<String> {
    let mut lines = output.lines().skip_while(|line| !line.contains("panicked at"));
    let place = lines.next()?;
    Some(format!("{place} {}", lines.next().unwrap_or_default()))
}

fn last_words(output: &str) -> String {
    output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().to_owned()
}

/// A member of three: started with one other first, then with both.
fn member(prepared: &Prepared, replicas: &mut [Replica], first: usize) -> Verdict {
    let victim = prepared.victim;
    let before = names(&replicas[victim].dir);
    replicas[victim].start();
    replicas[first].start();
    if let Err(why) = watch_pair(replicas, [victim, first]) {
        return Verdict::Wrong(format!("two of three: {why}"));
    }
    for (at, replica) in replicas.iter_mut().enumerate() {
        if at != victim && at != first {
            replica.start();
        }
    }
    let refused = match settle(replicas, victim) {
        Ok(refused) => refused,
        Err(verdict) => return verdict,
    };
    if let Some(words) = refused {
        return Verdict::Refused(words);
    }
    let is_new = replicas[victim].info("node_id").is_some_and(|id| id != prepared.id);
    let set_aside = names(&replicas[victim].dir).iter().any(|name| is_aside(name, &before));
    if is_new || set_aside { Verdict::New } else { Verdict::Whole }
}

/// Names in a data directory and beside it.
fn names(dir: &Path) -> BTreeSet<String> {
    [Some(dir), dir.parent()]
        .into_iter()
        .flatten()
        .filter_map(|place| fs::read_dir(place).ok())
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}

/// Whether a directory was set aside under this name; `facts/` alone does not make a new replica.
fn is_aside(name: &str, before: &BTreeSet<String>) -> bool {
    !before.contains(name) && (name.contains("diverged") || name.contains("aside"))
}

/// Looks through both until both serve everything, the victim ends, or no leader comes.
fn watch_pair(replicas: &mut [Replica], pair: [usize; 2]) -> Result<(), String> {
    let [victim, _] = pair;
    let answers = |replica: &Replica| replica.info("loading").as_deref() == Some("0");
    within(ALONE_LIMIT, || {
        let is_there = pair.iter().all(|&at| answers(&replicas[at]));
        (is_there || !replicas[victim].is_running()).then_some(())
    });
    within(QUORUM_LIMIT, || {
        if !replicas[victim].is_running() {
            return Some(Ok(()));
        }
        let mut whole = true;
        for at in pair {
            // Without a leader a read is held for seconds before it is refused.
            if replicas[at].info("raft_leader").is_none_or(|leader| leader == "none") {
                return None;
            }
            match look(replicas[at].port, ANSWER_LIMIT) {
                Seen::Whole => {}
                Seen::Nothing(_) => whole = false,
                Seen::Wrong(why) => return Some(Err(why)),
            }
        }
        whole.then_some(Ok(()))
    })
    .unwrap_or(Ok(()))
}

/// Waits until every node that runs serves everything, accepts a write, and has the same state.
/// The victim may end with a refusal; its words.
fn settle(replicas: &mut [Replica], victim: usize) -> Result<Option<String>, Verdict> {
    let mut refused = None;
    let mut last = String::new();
    let mut settling = Settling::default();
    let outcome = within(CLUSTER_LIMIT, || {
        for (at, replica) in replicas.iter_mut().enumerate() {
            let Some(status) = replica.ended() else { continue };
            match ended(status, &replica.output()) {
                Verdict::Refused(words) if at == victim => refused = Some(words),
                verdict if at == victim => return Some(Err(verdict)),
                verdict => {
                    return Some(Err(Verdict::Hung(format!(
                        "a healthy member ended: {verdict:?}"
                    ))));
                }
            }
        }
        let without = refused.as_ref().map(|_| victim);
        match settling.step(&others(replicas, without)) {
            Seen::Whole => Some(Ok(())),
            Seen::Wrong(why) => Some(Err(Verdict::Wrong(why))),
            Seen::Nothing(why) => {
                last = why;
                None
            }
        }
    });
    match outcome {
        Some(outcome) => outcome.map(|()| refused),
        None => stays(replicas, victim, &last).map(Some),
    }
}

/// The victim may also stay and refuse, if it says what to do and the others go on without it.
fn stays(replicas: &[Replica], victim: usize, last: &str) -> Result<String, Verdict> {
    let words = match silent(last, &replicas[victim].output()) {
        Verdict::Refused(words) => words,
        other => return Err(other),
    };
    let mut settling = Settling::default();
    within(CLUSTER_LIMIT, || match settling.step(&others(replicas, Some(victim))) {
        Seen::Whole => Some(Ok(words.clone())),
        Seen::Wrong(why) => Some(Err(Verdict::Wrong(why))),
        Seen::Nothing(_) => None,
    })
    .unwrap_or_else(|| Err(Verdict::Hung(format!("the others do not go on: {last}"))))
}

/// All but one, or all.
fn others(replicas: &[Replica], without: Option<usize>) -> Vec<&Replica> {
    replicas
        .iter()
        .enumerate()
        .filter(|(at, _)| Some(*at) != without)
        .map(|(_, replica)| replica)
        .collect()
}

/// How far the nodes that run have come.
#[derive(Default)]
struct Settling {
    /// Writes stop once every node has taken one: states are compared at rest.
    written: bool,
}

impl Settling {
    /// Goes on as far as the nodes let it; [`Seen::Whole`] at the end.
    fn step(&mut self, running: &[&Replica]) -> Seen {
        if !self.written {
            for replica in running {
                let seen = look(replica.port, ANSWER_LIMIT).at(replica);
                if seen != Seen::Whole {
                    return seen;
                }
            }
            for replica in running {
                if !accepts(replica) {
                    return Seen::Nothing("it accepts no write".to_owned()).at(replica);
                }
            }
            self.written = true;
        }
        same_state(running)
    }
}

impl Seen {
    /// Says where it was seen.
    fn at(self, replica: &Replica) -> Self {
        let place = replica.dir.file_name().unwrap_or_default().display();
        match self {
            Self::Whole => Self::Whole,
            Self::Nothing(why) => Self::Nothing(format!("{place}: {why}")),
            Self::Wrong(why) => Self::Wrong(format!("{place}: {why}")),
        }
    }
}

/// Whether all have applied the same entry and are the same.
fn same_state(running: &[&Replica]) -> Seen {
    let state = |one: &&Replica| Some((one.info("raft_applied_index")?, one.info("state_digest")?));
    let Some(states) = running.iter().map(state).collect::<Option<Vec<_>>>() else {
        return Seen::Nothing("a node gives no INFO".to_owned());
    };
    let Some(((index, digest), rest)) = states.split_first() else { return Seen::Whole };
    if rest.iter().any(|(other, _)| other != index) {
        return Seen::Nothing(format!("not all have applied the same entry: {states:?}"));
    }
    if rest.iter().any(|(_, other)| other != digest) {
        return Seen::Wrong(format!("digests differ at the same entry: {states:?}"));
    }
    Seen::Whole
}
