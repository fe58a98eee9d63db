//! The differential tester: commands made from a seed, answered by the bare engine and by a real
//! Redis 7.0 ([`trail`]), or by two engines of which one was restored from a snapshot
//! ([`restored`]).
//!
//! Every family is a test of its own and runs a slice; `cargo xtask diff` runs as much as it is
//! told to. A family's commands count as soon as the engine's table has them. A difference is
//! shrunk to the shortest trail that still shows it and printed as a transcript, with the seed that
//! repeats it. Where the two may differ on purpose stands in [`rules`], and nowhere else.

mod engine;
mod restored;
mod rules;
mod shrink;
mod steps;
mod trail;

use quorate_tests::generate::{self, Family};

/// So many commands a family runs if nobody asks for more.
const SLICE: usize = 15_000;
/// Commands between two empty databases, if nobody asks for more.
const TRAIL: usize = 300;

/// What a test runs: a family, or all of them mixed.
#[derive(Clone, Copy)]
struct Task {
    name: &'static str,
    family: Option<&'static Family>,
    seed: u64,
    commands: usize,
    /// Commands between two empty databases.
    trail: usize,
}

impl Task {
    /// Of this family, as much as the environment says (`cargo xtask diff` sets it).
    fn of(name: &'static str) -> Self {
        let number =
            |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let seed = number("QUORATE_DIFF_SEED").unwrap_or(1);
        let count = |name: &str, otherwise| number(name).map_or(otherwise, |count| count as usize);
        let commands = count("QUORATE_DIFF_COMMANDS", SLICE);
        let trail = count("QUORATE_DIFF_TRAIL", TRAIL).max(1);
        let family = generate::family(name);
        assert!(family.is_some() || name == "mixed", "no family {name}");
        Self { name, family, seed, commands, trail }
    }

    /// The seed and the length of every trail.
    fn trails(self) -> impl Iterator<Item = (u64, usize)> {
        let count = self.commands.div_ceil(self.trail);
        let length = move |at: usize| self.trail.min(self.commands - at * self.trail);
        (0..count).map(move |at| (self.seed + at as u64, length(at)))
    }

    /// What shows the difference of this seed again.
    fn again(self, mode: &str, seed: u64) -> String {
        let (name, trail) = (self.name, self.trail);
        let longer = if trail == TRAIL { String::new() } else { format!(" --trail {trail}") };
        format!("cargo xtask diff{mode} --family {name} --seed {seed} --commands {trail}{longer}")
    }
}

/// Two tests for every family.
macro_rules! families {
    ($($name:ident)*) => { $(
        mod $name {
            #[test]
            fn answers_as_redis_does() {
                super::trail::run(super::Task::of(stringify!($name)));
            }

            #[test]
            fn survives_a_snapshot() {
                super::restored::run(super::Task::of(stringify!($name)));
            }
        }
    )* };
}

families!(string generic bitmap hll list set hash zset geo stream sort mixed);

#[test]
fn every_family_has_its_tests() {
    let source = include_str!("main.rs");
    let listed = source.split("families!(").nth(1).and_then(|rest| rest.split(')').next());
    let listed: Vec<&str> = listed.into_iter().flat_map(str::split_whitespace).collect();
    for family in generate::FAMILIES {
        assert!(listed.contains(&family.name), "{} has no test", family.name);
    }
}
