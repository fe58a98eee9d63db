//! Settings: every row is sound, values are read and refused as Redis does, files survive a
//! rewrite.

use super::*;

#[test]
fn every_row_is_sound() {
    let mut names = std::collections::BTreeSet::new();
    for row in all() {
        for name in [Some(row.name), row.alias].into_iter().flatten() {
            assert!(names.insert(name), "{name} is there twice");
            assert_eq!(find(&name.to_ascii_uppercase()).map(|it| it.name), Some(row.name));
        }
        let canonical = row.kind.canonical(row.default);
        assert_eq!(canonical.as_deref(), Ok(row.default), "{}: the default is canonical", row.name);
        assert!(row.doc.ends_with('.'), "{}: the description is a sentence", row.name);
    }
}

#[test]
fn cluster_settings_are_those_of_the_engine() {
    let ours: Vec<&str> =
        all().filter(|row| row.scope == Scope::Cluster).map(|row| row.name).collect();
    let engine = quorate_engine::Settings::default();
    for name in quorate_engine::Settings::NAMES {
        assert!(ours.contains(&name), "{name} is missing in the table");
        let default = find(name).map(|row| row.default.to_owned());
        let in_force = engine.get(name);
        assert_eq!(default.as_ref().map(|value| kept(name, value)), in_force, "{name}");
        assert_eq!(default, in_force.map(|value| shown(name, value)), "{name}");
    }
    assert_eq!(ours.len(), quorate_engine::Settings::NAMES.len());
}

#[test]
fn values_are_read_as_redis_reads_them() {
    let check = |name: &str, value: &str, expected: Result<&str, &str>| {
        let row = find(name).map(|row| row.kind.canonical(value));
        let row = row.map(|value| value.map_err(|why| why.to_string()));
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(row, Some(expected), "{name} {value}");
    };
    check("maxmemory", "1gb", Ok("1073741824"));
    check("maxmemory", "2K", Ok("2000"));
    check("hash-max-ziplist-value", "1000000000", Ok("65536"));
    check("maxmemory", "much", Err("argument must be a memory value"));
    check("protected-mode", "NO", Ok("no"));
    check("protected-mode", "maybe", Err("argument must be 'yes' or 'no'"));
    check("port", "66000", Err("argument must be between 0 and 65535 inclusive"));
    check("port", "x", Err("argument couldn't be parsed into an integer"));
    check("maxmemory-clients", "5%", Ok("5%"));
    check("maxmemory-clients", "200%", Err("percentage argument must be less or equal to 100"));
    check("notify-keyspace-events", "xKE", Ok("xKE"));
    check("notify-keyspace-events", "Eg$lshzxetd", Ok("AE"));
    check(
        "notify-keyspace-events",
        "q",
        Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'."),
    );
    check("save", "3600 1  300 100", Ok("3600 1 300 100"));
    check("save", "3600", Err("Invalid save parameters"));
    check("latency-tracking-info-percentiles", "0.0 50.0 100.0", Ok("0 50 100"));
    check("shutdown-on-sigterm", "now nosave", Ok("nosave now"));
    check("client-output-buffer-limit", "replica 1mb 0 60", Ok("slave 1048576 0 60"));
    check(
        "client-output-buffer-limit",
        "nobody 1 1 1",
        Err("Invalid client class specified in buffer limit configuration."),
    );
}

/// Clients send at most 64 MiB at once, whatever an older version let them set.
#[test]
fn the_greatest_argument_is_the_one_that_is_enforced() {
    let name = "proto-max-bulk-len";
    for (seen, engine) in [("67108864", "536870912"), ("1048576", "1048576")] {
        assert_eq!(kept(name, seen), engine);
        assert_eq!(shown(name, engine.to_owned()), seen);
    }
    assert_eq!(shown(name, "100000000".to_owned()), "67108864");
    assert_eq!(kept("maxmemory", "67108864"), "67108864");
    let refused = find(name).map(|row| row.kind.canonical("512mb"));
    let refused = refused.map(|value| value.map_err(|why| why.to_string()));
    let why = "argument must be between 1048576 and 67108864 inclusive";
    assert_eq!(refused, Some(Err(why.to_owned())));
}

#[test]
fn memory_for_clients_is_in_bytes_or_a_part_of_what_there_is() {
    let of = |value: &str| {
        let get = |name: &str| if name == "maxmemory-clients" { value } else { "" }.to_owned();
        Tuned::new(&get, 1000).clients_bytes_max
    };
    assert_eq!([of("5%"), of("100%"), of("0%"), of("12345"), of("0")], [50, 1000, 0, 12_345, 0]);
}

#[test]
fn classes_that_are_not_named_keep_their_limits() {
    let merged = merge_output_limits("normal 1 2 3 slave 0 0 0 pubsub 7 8 9", "pubsub 4 5 6");
    assert_eq!(merged, "normal 1 2 3 slave 0 0 0 pubsub 4 5 6");
}

#[test]
fn a_file_is_read_and_rewritten() {
    let text =
        "# mine\nport 7000\n\nrequirepass \"a b\\\"c\"\nmaxclients 5 # five\nsave 1 2\nsave 3 4\n";
    let pairs = parse_file(text).expect("a sound file");
    let shown: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(shown, ["port=7000", "requirepass=a b\"c", "maxclients=5 # five", "save=1 2 3 4"]);
    let wrong = parse_file("port").err().map(|why| why.to_string());
    assert_eq!(wrong.as_deref(), Some("line 1: 'port' needs a value"));

    let text = "# mine\nport 7000\n\nsave 1 2\nsave 3 4\nstranger yes\n";
    let given = [("port", "7001"), ("save", "9 9"), ("requirepass", "a b")];
    let given: Vec<_> = given
        .iter()
        .map(|(name, value)| (find(name).expect("a known name"), (*value).to_owned()))
        .collect();
    let new = file::rewritten(text, &given);
    assert_eq!(
        new,
        "# mine\nport 7001\n\nsave \"9 9\"\nstranger yes\n# Generated by CONFIG REWRITE\n\
         requirepass \"a b\"\n"
    );
    let again = parse_file(&new).expect("what was written is read");
    assert!(again.contains(&("requirepass".to_owned(), "a b".to_owned())));
}

#[test]
fn a_change_is_undone_by_what_it_returned() {
    let settings = Settings::from_pairs(&[], None).expect("the defaults");
    let row = find("maxclients").expect("a row");
    let old = settings.replace(&[(row, "3".to_owned())]);
    assert_eq!(settings.tuned().maxclients, 3);
    settings.replace(&old);
    assert_eq!(settings.tuned().maxclients, 10_000);
}

#[test]
fn the_documentation_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == page(),
        "{path} is stale: cargo run -- help settings markdown > docs/configuration.md"
    );
}
