//! `ACL …`: there is one user, `default`, who may do everything once the password is given.
//!
//! Questions are answered as Redis answers them with nothing but that user; changes are refused.

use super::{Call, Row, Run, bulk, error, exactly, least};
use quorate_engine::Flags;
use quorate_resp::{Args, Reply, up_to_zero};

/// The row.
pub(super) const COMMANDS: &[Row] = &[Row::parent("ACL", SUBS, "Looks at users.").since("6.0.0")];

const SUBS: &[Row] = &[
    Row::new("ACL|WHOAMI", exactly(2), Run::Here(whoami), "Answers the connection's user.")
        .since("6.0.0"),
    Row::new("ACL|USERS", exactly(2), Run::Here(users), "Lists users.")
        .flags(Flags::ADMIN)
        .since("6.0.0"),
    Row::new("ACL|LIST", exactly(2), Run::Here(list), "Lists users with their rules.")
        .flags(Flags::ADMIN)
        .since("6.0.0"),
    Row::new("ACL|CAT", least(2), Run::Here(cat), "Lists categories, or the commands of one.")
        .since("6.0.0"),
];

fn whoami(_: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    bulk("default")
}

fn users(_: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    Reply::Array(vec![bulk("default")])
}

fn list(call: &mut Call<'_>, _: Args<'_>) -> Reply<'static> {
    let pass = if call.client.tuned.password.is_some() { "(password set)" } else { "nopass" };
    Reply::Array(vec![bulk(format!("user default on {pass} ~* &* +@all"))])
}

fn cat(call: &mut Call<'_>, args: Args<'_>) -> Reply<'static> {
    let registry = call.shared.registry;
    if args.len() > 3 {
        return error("ERR wrong number of arguments for 'acl|cat' command");
    }
    let Some(wanted) = args.get(2) else {
        let mut names: Vec<&str> =
            registry.entries().iter().flat_map(super::docs::categories).collect();
        names.sort_unstable();
        names.dedup();
        return Reply::Array(names.into_iter().map(bulk).collect());
    };
    let wanted = wanted.to_ascii_lowercase();
    let found: Vec<_> = registry
        .entries()
        .iter()
        .filter(|entry| super::docs::categories(entry).iter().any(|name| name.as_bytes() == wanted))
        .map(|entry| bulk(entry.name.clone()))
        .collect();
    if found.is_empty() {
        return Reply::error_of(&[b"ERR Unknown category '", up_to_zero(&wanted), b"'"]);
    }
    Reply::Array(found)
}
