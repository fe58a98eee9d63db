//! `CLIENT TRACKING` and what goes with it: which keys a connection keeps copies of.
//!
//! The words alone; who is told of what is in [`tracking`](crate::tracking).

use super::{Call, View, bulk, int, is, not_an_integer, syntax_error};
use crate::tracking::Options;
use quorate_resp::{Args, Reply};

/// `CLIENT TRACKING`. It runs behind a read barrier: so this node is known to keep up, and what was
/// written before is not heard of as of something new.
pub(super) fn tracking(call: &mut Call<'_>, _: &View<'_>, args: Args<'_>) -> Reply<'static> {
    let (options, prefixes) = match options(call, args) {
        Ok(parsed) => parsed,
        Err(refusal) => return refusal,
    };
    match args.at(2) {
        word if is(word, "ON") => match call.client.tracker.turn_on(options, &prefixes) {
            Ok(()) => Reply::OK,
            Err(refusal) => refusal,
        },
        word if is(word, "OFF") => {
            call.client.tracker.turn_off();
            Reply::OK
        }
        _ => syntax_error(),
    }
}

fn options<'a>(
    call: &Call<'_>,
    args: Args<'a>,
) -> Result<(Options, Vec<&'a [u8]>), Reply<'static>> {
    let (mut options, mut prefixes) = (Options::default(), Vec::new());
    let mut words = args.from(3).iter();
    while let Some(word) = words.next() {
        match word {
            word if is(word, "BCAST") => options.bcast = true,
            word if is(word, "OPTIN") => options.optin = true,
            word if is(word, "OPTOUT") => options.optout = true,
            word if is(word, "NOLOOP") => options.noloop = true,
            word if is(word, "PREFIX") => prefixes.push(words.next().ok_or_else(syntax_error)?),
            word if is(word, "REDIRECT") => {
                let id = words.next().ok_or_else(syntax_error)?;
                if options.redirect.is_some() {
                    return Err(Reply::error(
                        "ERR A client can only redirect to a single other client",
                    ));
                }
                let id = int(id).ok_or_else(not_an_integer)?;
                let peer = call.shared.clients.get(id as u64);
                options.redirect = Some(peer.ok_or_else(|| {
                    Reply::error("ERR The client ID you want redirect to does not exist")
                })?);
            }
            _ => return Err(syntax_error()),
        }
    }
    Ok((options, prefixes))
}

/// `CLIENT CACHING`.
pub(super) fn caching(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let tracker = &mut call.client.tracker;
    let Some((options, _)) = tracker.options() else {
        return Reply::error(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN \
             or OPTOUT mode enabled",
        );
    };
    let (fits, refusal) = match args.at(2) {
        word if is(word, "YES") => (
            options.optin,
            "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
        ),
        word if is(word, "NO") => (
            options.optout,
            "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
        ),
        _ => return syntax_error(),
    };
    if !fits {
        return Reply::error(refusal);
    }
    tracker.set_caching();
    Reply::OK
}

/// `CLIENT GETREDIR`.
pub(super) fn redirect(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::Int(call.client.peer.redirected())
}

/// `CLIENT TRACKINGINFO`.
pub(super) fn info(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    let tracker = &call.client.tracker;
    let flags: Vec<&'static str> = match tracker.options() {
        None => vec!["off"],
        Some((options, caching)) => [
            (true, "on"),
            (options.bcast, "bcast"),
            (options.optin, "optin"),
            (options.optin && caching, "caching-yes"),
            (options.optout, "optout"),
            (options.optout && caching, "caching-no"),
            (options.noloop, "noloop"),
            (tracker.is_broken(), "broken_redirect"),
        ]
        .into_iter()
        .filter_map(|(is_set, flag)| is_set.then_some(flag))
        .collect(),
    };
    let word = |text: &'static str| Reply::bulk(text.as_bytes());
    let prefixes = tracker.prefixes().into_iter().map(bulk).collect();
    Reply::Map(vec![
        (word("flags"), Reply::Set(flags.into_iter().map(word).collect())),
        (word("redirect"), Reply::Int(call.client.peer.redirected())),
        (word("prefixes"), Reply::Array(prefixes)),
    ])
}
