//! Arguments as COMMAND DOCS of Redis tells them, and rows whose syntax and arity agree.
//!
//! A tree is written in one line here: see [`text`].

use super::*;
use quorate_engine::Arity;

/// `name:kind`, `=TOKEN`, `?` optional, `*` multiple (`**` with the token), and parts in
/// parentheses.
fn text(arguments: &[Argument]) -> String {
    let one = |argument: &Argument| {
        let token = argument.token.as_ref().map(|token| format!("={token}")).unwrap_or_default();
        let optional = if argument.optional { "?" } else { "" };
        let multiple = match (argument.multiple, argument.multiple_token) {
            (false, _) => "",
            (true, false) => "*",
            (true, true) => "**",
        };
        let parts = match argument.parts.as_slice() {
            [] => String::new(),
            parts => format!("({})", text(parts)),
        };
        format!("{}:{}{token}{optional}{multiple}{parts}", argument.name, argument.kind())
    };
    arguments.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn check(name: &str, expected: &str) {
    let registry = crate::command::registry();
    let entry = registry.find(name.as_bytes()).unwrap();
    assert_eq!(text(&of(&entry.meta)), expected, "{name}");
}

#[test]
fn arguments_are_those_of_redis() {
    check("GET", "key:key");
    check("DEL", "key:key*");
    check("MSET", "key:block*(key:key value:string)");
    check("LPOP", "key:key count:integer?");
    check("PFADD", "key:key element:string?*");
    check(
        "COPY",
        "source:key destination:key destination-db:integer=DB? replace:pure-token=REPLACE?",
    );
    check(
        "BITOP",
        "and:oneof(and:pure-token=AND or:pure-token=OR xor:pure-token=XOR \
           not:pure-token=NOT) destkey:key key:key*",
    );
    check(
        "BITCOUNT",
        "key:key start:block?(start:string end:string byte:oneof?(byte:pure-token=BYTE \
           bit:pure-token=BIT))",
    );
    check(
        "EXPIRE",
        "key:key seconds:integer nx:oneof?(nx:pure-token=NX xx:pure-token=XX \
           gt:pure-token=GT lt:pure-token=LT)",
    );
    check(
        "GETEX",
        "key:key seconds:oneof?(seconds:integer=EX milliseconds:integer=PX \
           unix-time-seconds:unix-time=EXAT unix-time-milliseconds:unix-time=PXAT \
           persist:pure-token=PERSIST)",
    );
    check("SCAN", "cursor:integer pattern:pattern=MATCH? count:integer=COUNT? type:string=TYPE?");
    check(
        "SORT_RO",
        "key:key pattern:pattern=BY? limit:block=LIMIT?(offset:integer count:integer) \
           pattern:pattern=GET?** asc:oneof?(asc:pure-token=ASC desc:pure-token=DESC) \
           alpha:pure-token=ALPHA?",
    );
}

#[test]
fn arguments_of_collections_are_those_of_redis() {
    check(
        "LMPOP",
        "numkeys:integer key:key* left:oneof(left:pure-token=LEFT right:pure-token=RIGHT) \
           count:integer=COUNT?",
    );
    check("BLPOP", "key:key* timeout:double");
    check(
        "BLMOVE",
        "source:key destination:key left:oneof(left:pure-token=LEFT right:pure-token=RIGHT) \
           left:oneof(left:pure-token=LEFT right:pure-token=RIGHT) timeout:double",
    );
    check(
        "BZMPOP",
        "timeout:double numkeys:integer key:key* \
           min:oneof(min:pure-token=MIN max:pure-token=MAX) count:integer=COUNT?",
    );
    check("WAIT", "numreplicas:integer timeout:integer");
    check(
        "ZADD",
        "key:key nx:oneof?(nx:pure-token=NX xx:pure-token=XX) \
           gt:oneof?(gt:pure-token=GT lt:pure-token=LT) ch:pure-token=CH? incr:pure-token=INCR? \
           score:block*(score:double member:string)",
    );
    check(
        "ZUNION",
        "numkeys:integer key:key* weight:double=WEIGHTS?* \
           sum:oneof=AGGREGATE?(sum:pure-token=SUM min:pure-token=MIN max:pure-token=MAX) \
           withscores:pure-token=WITHSCORES?",
    );
    check(
        "HEXPIRE",
        "key:key seconds:integer nx:oneof?(nx:pure-token=NX xx:pure-token=XX \
           gt:pure-token=GT lt:pure-token=LT) fields:block=FIELDS(numfields:integer field:string*)",
    );
    check(
        "GEORADIUS_RO",
        "key:key longitude:double latitude:double radius:double m:oneof(\
           m:pure-token=M km:pure-token=KM ft:pure-token=FT mi:pure-token=MI) \
           withcoord:pure-token=WITHCOORD? withdist:pure-token=WITHDIST? \
           withhash:pure-token=WITHHASH? count:block?(count:integer=COUNT any:pure-token=ANY?) \
           asc:oneof?(asc:pure-token=ASC desc:pure-token=DESC)",
    );
    check(
        "XREAD",
        "count:integer=COUNT? milliseconds:integer=BLOCK? \
           streams:block=STREAMS(key:key* id:string*)",
    );
    check(
        "XGROUP|CREATE",
        "key:key group:string id:oneof(id:string $:pure-token=$) \
           mkstream:pure-token=MKSTREAM? entries-read:string=ENTRIESREAD?",
    );
}

/// The fewest words that arguments take.
fn fewest(arguments: &[Argument]) -> usize {
    let one = |argument: &Argument| {
        let parts = argument.parts.iter().filter(|part| !part.optional);
        let parts = parts.map(|part| fewest(std::slice::from_ref(part)));
        let token = usize::from(argument.token.is_some());
        match argument.shape {
            Shape::Value | Shape::Seconds => 1 + token,
            Shape::Token => 1,
            Shape::OneOf => token + parts.min().unwrap_or(0),
            Shape::Block => token + parts.sum::<usize>(),
        }
    };
    arguments.iter().filter(|argument| !argument.optional).map(one).sum()
}

/// Whether they always take that many.
fn is_fixed(arguments: &[Argument]) -> bool {
    arguments.iter().all(|argument| {
        let mut lengths = argument.parts.iter().map(|part| fewest(std::slice::from_ref(part)));
        let first = lengths.next();
        let same = argument.shape != Shape::OneOf || lengths.all(|length| Some(length) == first);
        !argument.optional && !argument.multiple && same && is_fixed(&argument.parts)
    })
}

/// The syntax and the arity are two ways to say the same.
#[test]
fn arities_fit_the_syntax() {
    let registry = crate::command::registry();
    for entry in registry.entries().filter(|entry| entry.subs.is_empty()) {
        let (name, arguments) = (&entry.name, of(&entry.meta));
        let words = name.split('|').count() + fewest(&arguments);
        let least = entry.meta.arity.number().unsigned_abs();
        assert_eq!(words as u64, least, "{name}: {}", entry.meta.syntax);
        let is_exact = matches!(entry.meta.arity, Arity::Exactly(_));
        assert!(!is_exact || is_fixed(&arguments), "{name}: {}", entry.meta.syntax);
    }
}
