//! What must end, and leave nothing behind.

use super::{Small, eval_on, line};
use crate::Luau;
use quorate_engine::Stopped;

/// Runs a script that must be stopped, then one that must find everything as new.
fn ends(body: &str, expect: Stopped) {
    let mut luau = Luau::new();
    let began = std::time::Instant::now();
    let ended = eval_on(&mut luau, &mut Small::new(), body, (&[], &[]));
    assert_eq!(ended.map(|reply| line(&reply)), Err(expect), "{body}");
    assert!(began.elapsed().as_secs() < 20, "{body}: {:?}", began.elapsed());
    let after = eval_on(&mut luau, &mut Small::new(), "return 'well'", (&[], &[]));
    assert_eq!(after.map(|reply| line(&reply)), Ok("'well'".to_owned()), "{body}");
}

#[test]
fn loops_end() {
    ends("while true do end", Stopped::Time);
    ends("while true do pcall(function() while true do end end) end", Stopped::Time);
    ends(
        "repeat xpcall(function() while true do end end, function() while true do end end) until false",
        Stopped::Time,
    );
    ends(
        "local c = coroutine.wrap(function() while true do end end) while true do pcall(c) end",
        Stopped::Time,
    );
    ends("local function f() return pcall(f) end while true do f() end", Stopped::Time);
}

#[test]
fn heaps_end() {
    ends("local s = 'x' while true do s = s .. s end", Stopped::Memory);
    ends("local t = {} while true do t[#t + 1] = {} end", Stopped::Memory);
    ends("local t = {} for i = 1, 1e9 do t[i] = i end", Stopped::Memory);
}
