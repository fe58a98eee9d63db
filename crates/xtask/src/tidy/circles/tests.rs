//! Small trees of files and the circles in them.
//!
//! A file is given as its path inside of `src` and its text.

use super::{Circles, Member, find, judge_by};
use crate::tidy::Source;

fn circles(files: &[(&str, &str)]) -> Vec<Circles> {
    let source = |(path, text): &(&str, &str)| {
        let path = format!("crates/a/src/{path}");
        (path.clone(), Source { path, text: (*text).to_owned() })
    };
    find(&files.iter().map(source).collect())
}

fn names(circle: &[Member]) -> String {
    circle.iter().map(|member| member.module.as_str()).collect::<Vec<_>>().join(" ")
}

fn check(files: &[(&str, &str)], expect: &[&str]) {
    let found = circles(files);
    let found: Vec<String> =
        found.iter().flat_map(|one| &one.circles).map(|circle| names(circle)).collect();
    assert_eq!(found, expect, "{files:?}");
}

#[test]
fn siblings() {
    let root = ("lib.rs", "mod b; mod c; mod d; pub use b::B;");
    check(&[root, ("b.rs", "use crate::c::C; struct B;"), ("c.rs", "struct C;")], &[]);
    check(&[root, ("b.rs", "use crate::c::C;"), ("c.rs", "use super::b::B;")], &["b c"]);
    check(
        &[root, ("b.rs", "use crate::c::{self, D};"), ("c.rs", "fn c() { crate::b::f() }")],
        &["b c"],
    );
    check(
        &[
            root,
            ("b.rs", "use super::c; fn f() { c::g() }"),
            ("c.rs", "use super::b; type X = b::B;"),
        ],
        &["b c"],
    );
    let round = [
        root,
        ("b.rs", "struct B; use crate::c::C;"),
        ("c.rs", "struct C; use crate::d::D;"),
        ("d.rs", "struct D; use crate::b::B;"),
    ];
    check(&round, &["b c d"]);
}

#[test]
fn what_is_no_import() {
    let root = ("lib.rs", "mod b; mod c;");
    let check_c = |text: &str, expect: &[&str]| {
        check(&[root, ("b.rs", "use crate::c::C; struct B;"), ("c.rs", text)], expect);
    };
    check_c("fn c() { let b = crate::b::B; }", &["b c"]);
    check_c("// crate::b::B\n/* use crate::b::B; */ /// [`crate::b::B`]\nstruct C;", &[]);
    check_c("const C: &str = \"crate::b::B\"; const D: &str = r#\"\"crate::b::B\"#;", &[]);
    check_c("const Q: char = '\"'; fn c<'a>() { crate::b::f('\\'') }", &["b c"]);
    check_c("use std::b::B; use other::crate_b::b; fn c() { x.b::<B>() }", &[]);
    check_c("pub(in crate::b) struct C;", &[]);
    check_c("#[cfg(test)]\nuse crate::b::B;\nstruct C;", &[]);
    check_c("#[cfg(test)]\n#[allow(x)]\nmod tests { use crate::b::B; fn f() {} }", &[]);
    check_c("struct C { #[cfg(test)] b: crate::b::B, c: u8 }", &[]);
    check_c("#[cfg(test)] fn f(a: u8, b: u8) { crate::b::f() } use crate::b::B;", &["b c"]);
    let tests = ("c/tests.rs", "use crate::b::B; use super::C;");
    check(
        &[root, ("b.rs", "use crate::c::C;"), ("c.rs", "struct C; #[cfg(test)] mod tests;"), tests],
        &[],
    );
}

#[test]
fn what_stands_behind_a_facade() {
    let facade = ("b/mod.rs", "mod d; mod e; pub use d::D; pub(crate) use e::*;");
    let files = |c: &'static str, d: &'static str, e: &'static str| {
        [("lib.rs", "mod b; mod c;"), facade, ("c.rs", c), ("b/d.rs", d), ("b/e.rs", e)]
    };
    check(&files("use crate::b::D;", "struct D; use crate::c::C;", "fn e() {}"), &["b::d c"]);
    check(&files("use crate::b::D;", "struct D;", "use crate::c::C; fn e() {}"), &[]);
    check(
        &files("fn c() { crate::b::e() }", "struct D;", "use crate::c::C; fn e() {}"),
        &["b::e c"],
    );
    // To siblings through their parent.
    check(&files("", "struct D; use super::e::E;", "use super::D; struct E;"), &["b::d b::e"]);
}

#[test]
fn parents_and_children() {
    let parent = ("b/mod.rs", "mod d; mod e; use d::D; use e::E; struct B { d: D, e: E }");
    let root = ("lib.rs", "mod b; mod c;");
    let (d, e) = (("b/d.rs", "struct D; use super::B;"), ("b/e.rs", "struct E; use super::B;"));
    check(&[root, parent, d, e, ("c.rs", "use crate::b::B;")], &[]);
    let back = ("b/e.rs", "struct E; use crate::c::C;");
    check(&[root, parent, d, back, ("c.rs", "use crate::b::B; struct C;")], &["b b::d b::e c"]);
    check(
        &[
            root,
            parent,
            ("b/d.rs", "struct D; use super::e::E;"),
            ("b/e.rs", "use super::d::D; struct E;"),
            ("c.rs", ""),
        ],
        &["b::d b::e"],
    );
    // A module inside of a file is that file.
    let inner =
        ("c.rs", "pub mod x { pub mod y { use super::super::C; use super::Z; } struct Z; }");
    check(&[root, ("b.rs", "use crate::c::x::y::Z;"), inner], &[]);
}

#[test]
fn sizes_may_only_shrink() {
    let root = ("lib.rs", "mod b; mod c;");
    let found = circles(&[root, ("b.rs", "use crate::c::C;"), ("c.rs", "use crate::b::B;")]);
    let judged = |allowed: &[(&str, &[usize])]| -> Vec<String> {
        judge_by(allowed, &found).into_iter().map(|finding| finding.why).collect()
    };
    assert_eq!(judged(&[("a", &[2])]), [""; 0]);
    let grew = "circles of [2] files, [] are listed: untie what is new";
    assert_eq!(judged(&[]), [grew]);
    let shrank = "circles of [2] files, [3, 2] are listed: write the new sizes down";
    assert_eq!(judged(&[("a", &[3, 2])]), [shrank]);
    let gone = "circles are listed for it, but there is no such crate";
    assert_eq!(judged(&[("a", &[2]), ("z", &[2])]), [gone]);
}
