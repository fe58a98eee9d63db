//! The figures of a bench: medians, ratios, a table for people and JSON for scripts.
//!
//! Nothing is judged here. What a run consists of, and how often it is repeated, the bench itself
//! says.

use super::{Case, drive::Run};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// One run of one system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// What the client saw.
    pub(crate) run: Run,
    /// CPU of all server processes, microseconds per operation.
    pub(crate) cpu_us: f64,
}

/// All runs.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<(&'static str, Case, Vec<Measured>)>,
    /// RSS growth per key.
    pub(crate) memory: Vec<(&'static str, f64)>,
}

/// Medians of one system in one case.
struct Medians {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
}

impl Report {
    /// Adds one run.
    pub(crate) fn add(&mut self, system: &'static str, case: Case, measured: Measured) {
        match self.rows.iter_mut().find(|(name, other, _)| *name == system && *other == case) {
            Some((_, _, runs)) => runs.push(measured),
            None => self.rows.push((system, case, vec![measured])),
        }
    }

    /// The reference of a case: writes are compared with a Redis that syncs, reads with one that
    /// keeps nothing.
    fn reference(test: &str) -> &'static str {
        if test == "set" { "redis-always" } else { "redis-none" }
    }

    /// The median over rounds of this system's throughput divided by the reference's in the same
    /// round.
    fn ratio(&self, runs: &[Measured], case: Case) -> f64 {
        let reference = Self::reference(case.test);
        let Some((_, _, others)) =
            self.rows.iter().find(|(name, c, _)| *name == reference && *c == case)
        else {
            return f64::NAN;
        };
        median(runs.iter().zip(others).map(|(a, b)| a.run.per_second / b.run.per_second).collect())
    }

    /// A table in plain text.
    pub(crate) fn table(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{:<14} {:<13} {:>9} {:>8} {:>8} {:>9} {:>7}",
            "case", "system", "req/s", "p50 ms", "p99 ms", "CPU us/op", "ratio"
        );
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|(_, case, _)| super::CASES.iter().position(|other| other == case));
        for (system, case, runs) in rows {
            let m = medians(runs);
            let name = format!("{} c{} P{}", case.test.to_uppercase(), case.clients, case.pipeline);
            let ratio = self.ratio(runs, *case);
            let _ = writeln!(
                out,
                "{name:<14} {system:<13} {:>9.0} {:>8.3} {:>8.3} {:>9.2} {ratio:>7.2}",
                m.per_second, m.p50_ms, m.p99_ms, m.cpu_us
            );
        }
        let _ = writeln!(
            out,
            "ratio: SET to redis-server with appendfsync always, \
             GET to redis-server without persistence"
        );
        for (system, bytes) in &self.memory {
            let _ = writeln!(out, "memory {system:<13} {bytes:>7.1} bytes a key");
        }
        out
    }

    /// The same for scripts.
    pub(crate) fn json(&self) -> Value {
        let cases: Vec<Value> = self
            .rows
            .iter()
            .map(|(system, case, runs)| {
                let m = medians(runs);
                json!({
                    "system": system,
                    "test": case.test,
                    "clients": case.clients,
                    "pipeline": case.pipeline,
                    "runs": runs.len(),
                    "per_second": m.per_second,
                    "p50_ms": m.p50_ms,
                    "p99_ms": m.p99_ms,
                    "cpu_us": m.cpu_us,
                    "ratio": self.ratio(runs, *case),
                })
            })
            .collect();
        let memory: Vec<Value> = self
            .memory
            .iter()
            .map(|(system, bytes)| json!({ "system": system, "bytes_per_key": bytes }))
            .collect();
        json!({ "cases": cases, "memory": memory })
    }
}

fn medians(runs: &[Measured]) -> Medians {
    let of = |pick: fn(&Measured) -> f64| median(runs.iter().map(pick).collect());
    Medians {
        per_second: of(|m| m.run.per_second),
        p50_ms: of(|m| m.run.p50_ms),
        p99_ms: of(|m| m.run.p99_ms),
        cpu_us: of(|m| m.cpu_us),
    }
}

/// The median; NaN of nothing.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
