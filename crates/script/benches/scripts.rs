//! What a call of a script costs beside the commands that it runs.
#![allow(missing_docs, reason = "criterion's macros make functions without")]

use criterion::{Criterion, criterion_group, criterion_main};
use quorate_engine::{Budget, Call, Host, Interpreter, LogLevel, Program, Stopped};
use quorate_resp::Reply;
use quorate_script::Luau;
use std::hint::black_box;

/// Answers at once.
struct Instant;

impl Host for Instant {
    fn call(&mut self, words: &[Vec<u8>]) -> Reply<'static> {
        black_box(words);
        Reply::bulk(b"value")
    }

    fn may_call(&mut self, _: &[Vec<u8>]) -> Result<bool, String> {
        Ok(true)
    }

    fn log(&mut self, _: LogLevel, _: &[u8]) {}

    fn stop(&mut self) -> Option<Stopped> {
        None
    }
}

const BUDGET: Budget = Budget { heap_bytes: 64 << 20, reply_bytes: 64 << 20 };

fn run(luau: &mut Luau, sha: &str, body: &str) {
    let program = Program::Script { sha, body: body.as_bytes() };
    let call = Call { program, keys: &[b"key"], args: &[b"value"], seed: 1, budget: BUDGET };
    let _ = black_box(luau.call(&call, &mut Instant));
}

fn scripts(criterion: &mut Criterion) {
    let mut luau = Luau::new();
    for (name, body) in [
        ("nothing", "return 1"),
        ("get", "return redis.call('GET', KEYS[1])"),
        (
            "get and delete",
            "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) \
             else return 0 end",
        ),
        ("loop of 100,000", "local n = 0 for i = 1, 1e5 do n = n + i end return n"),
        ("match", "return string.match('key=value', '(%w+)=(%w+)')"),
        ("json", "return cjson.encode(cjson.decode('{\"a\":[1,2,3],\"b\":\"text\"}'))"),
    ] {
        criterion.bench_function(name, |bencher| bencher.iter(|| run(&mut luau, name, body)));
    }
    criterion.bench_function("a new state", |bencher| {
        bencher.iter(|| run(&mut Luau::new(), "sha", "return 1"));
    });
    criterion.bench_function("check", |bencher| {
        bencher.iter(|| luau.check(b"return redis.call('GET', KEYS[1])"));
    });
}

criterion_group!(benches, scripts);
criterion_main!(benches);
