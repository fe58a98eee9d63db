//! `ACL …`: there is one user, `default`, who may do everything once the password is given.
//!
//! Questions are answered as Redis answers them with nothing but that user; changes are refused.

use super::{Call, NODE, Row, Run, bulk, error};
use quorate_engine::{Flags, Group, Keys, exactly, least};
use quorate_resp::{Args, Reply, up_to_zero};

/// The rows.
pub(super) const ROWS: &[Row] = &Group::Server.rows([
    Row::new("ACL", "", Run::Parent)
        .facts(least(2), Keys::None, NODE)
        .doc("6.0.0", "Looks at users."),
    Row::new("ACL|WHOAMI", "", Run::Here(whoami))
        .facts(exactly(2), Keys::None, NODE)
        .doc("6.0.0", "Answers the connection's user."),
    Row::new("ACL|USERS", "", Run::Here(users))
        .facts(exactly(2), Keys::None, NODE.and(Flags::ADMIN))
        .doc("6.0.0", "Lists users."),
    Row::new("ACL|LIST", "", Run::Here(list))
        .facts(exactly(2), Keys::None, NODE.and(Flags::ADMIN))
        .doc("6.0.0", "Lists users with their rules."),
    Row::new("ACL|CAT", "[category]", Run::Here(cat))
        .facts(least(2), Keys::None, NODE)
        .doc("6.0.0", "Lists categories, or the commands of one."),
]);

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
        let mut names: Vec<&str> = registry.entries().flat_map(super::docs::categories).collect();
        names.sort_unstable();
        names.dedup();
        return Reply::Array(names.into_iter().map(bulk).collect());
    };
    let wanted = wanted.to_ascii_lowercase();
    let found: Vec<_> = registry
        .entries()
        .filter(|entry| super::docs::categories(entry).iter().any(|name| name.as_bytes() == wanted))
        .map(|entry| bulk(entry.name.clone()))
        .collect();
    if found.is_empty() {
        return Reply::error_of(&[b"ERR Unknown category '", up_to_zero(&wanted), b"'"]);
    }
    Reply::Array(found)
}
