//! `CLIENT KILL` and its filters.
//!
//! Filters are read first and then asked of every client. The answer comes when the sockets are
//! closed, so that a test that counts connections afterwards counts right.

use super::work::Work;
use super::{Call, int, is, syntax_error, text};
use crate::clients::{KILL, Peer};
use quorate_resp::{Args, Reply, up_to_zero};
use std::sync::atomic::Ordering::Relaxed;

/// Redis's classes of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Normal,
    Replica,
    Subscriber,
    /// One that nobody is here.
    Nobody,
}

/// The class of this name.
pub(super) fn class(name: &[u8]) -> Result<Class, Reply<'static>> {
    match name {
        name if is(name, "normal") => Ok(Class::Normal),
        name if ["slave", "replica"].iter().any(|word| is(name, word)) => Ok(Class::Replica),
        name if is(name, "pubsub") => Ok(Class::Subscriber),
        name if is(name, "master") => Ok(Class::Nobody),
        name => Err(Reply::error_of(&[b"ERR Unknown client type '", up_to_zero(name), b"'"])),
    }
}

/// The class of a client.
pub(super) fn of(peer: &Peer) -> Class {
    match () {
        () if peer.replica.load(Relaxed) => Class::Replica,
        () if peer.is_subscriber() => Class::Subscriber,
        () => Class::Normal,
    }
}

/// Who is meant.
#[derive(Default)]
struct Filter {
    id: Option<u64>,
    address: Option<String>,
    local: Option<String>,
    class: Option<Class>,
    max_age_s: Option<u64>,
    /// Whether the caller is left alone.
    skip_me: bool,
}

impl Filter {
    fn new() -> Self {
        Self { skip_me: true, ..Self::default() }
    }

    fn takes(&self, peer: &Peer, me: u64) -> bool {
        self.id.is_none_or(|id| id == peer.id)
            && self.address.as_ref().is_none_or(|text| *text == peer.address.to_string())
            && self.local.as_ref().is_none_or(|text| *text == peer.local.to_string())
            && self.class.is_none_or(|class| class == of(peer))
            && self.max_age_s.is_none_or(|age| peer.since.elapsed().as_secs() >= age)
            && !(self.skip_me && peer.id == me)
    }

    fn set(&mut self, name: &[u8], value: &[u8]) -> Result<(), Reply<'static>> {
        if is(name, "ID") {
            let id = int(value).and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0);
            self.id = Some(id.ok_or(Reply::error("ERR client-id should be greater than 0"))?);
        } else if is(name, "TYPE") {
            self.class = Some(class(value)?);
        } else if is(name, "ADDR") {
            self.address = Some(text(value).into_owned());
        } else if is(name, "LADDR") {
            self.local = Some(text(value).into_owned());
        } else if is(name, "MAXAGE") {
            let refusal = Reply::error("ERR maxage is not an integer or out of range");
            let age = u64::try_from(int(value).ok_or(refusal)?).ok().filter(|age| *age > 0);
            let refusal = Reply::error("ERR maxage should be greater than 0");
            self.max_age_s = Some(age.ok_or(refusal)?);
        } else if is(name, "USER") {
            if value != b"default" {
                return Err(Reply::error_of(&[b"ERR No such user '", up_to_zero(value), b"'"]));
            }
        } else if is(name, "SKIPME") {
            self.skip_me = match value {
                value if is(value, "yes") => true,
                value if is(value, "no") => false,
                _ => return Err(syntax_error()),
            };
        } else {
            return Err(syntax_error());
        }
        Ok(())
    }
}

/// `CLIENT KILL addr:port` or `CLIENT KILL name value …`.
pub(super) fn kill(call: &mut Call<'_>, args: Args<'_>) -> Result<Work, Reply<'static>> {
    let mut filter = Filter::new();
    let old_style = args.len() == 3;
    if old_style {
        filter.address = Some(text(args.at(2)).into_owned());
        filter.skip_me = false;
    } else if args.len().is_multiple_of(2) {
        let options: Vec<&[u8]> = args.from(2).iter().collect();
        for pair in options.chunks(2) {
            let [name, value] = pair else { continue };
            filter.set(name, value)?;
        }
    } else {
        return Err(syntax_error());
    }
    let me = call.client.peer.id;
    let (mut killed, mut others) = (0, Vec::new());
    for peer in call.shared.clients.all() {
        if !filter.takes(&peer, me) {
            continue;
        }
        killed += 1;
        if peer.id == me {
            // The caller still gets its answer.
            call.client.closing = true;
        } else {
            call.shared.clients.remove(&peer);
            peer.signal(KILL);
            others.push(peer);
        }
    }
    match (old_style, killed) {
        (true, 0) => Err(Reply::error("ERR No such client")),
        (true, _) => Ok(Work::Kill(others, Reply::OK)),
        (false, killed) => Ok(Work::Kill(others, Reply::Int(killed))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Filter, Reply};

    #[test]
    fn an_age_is_a_number_above_zero() {
        let set = |value| {
            Filter::new().set(b"maxage", value).map_err(|refusal| match refusal {
                Reply::Error(text) => text.to_string(),
                other => format!("{other:?}"),
            })
        };
        assert_eq!(set(b"1"), Ok(()));
        let text = |text: &str| Err(text.to_owned());
        assert_eq!(set(b"0"), text("ERR maxage should be greater than 0"));
        assert_eq!(set(b"-1"), text("ERR maxage should be greater than 0"));
        assert_eq!(set(b"x"), text("ERR maxage is not an integer or out of range"));
    }
}
