//! A list of steps, run in order until one fails: [`ci`](crate::ci) and [`long`](crate::long).
//!
//! Whoever runs it learns how long each step took, and how to repeat the one that failed alone.

use crate::shell::{Outcome, Shell};
use std::time::{Duration, Instant};

/// A name to call a step by, and the step.
pub(crate) type Step<'a> = (&'a str, &'a dyn Fn(&Shell) -> Outcome);

/// Runs all steps, or those that are named, in the list's order; says how long each took, and of a
/// failure how to repeat it alone.
pub(crate) fn run(shell: &Shell, task: &str, names: &[String], steps: &[Step<'_>]) -> Outcome {
    let known = |wanted: &String| steps.iter().any(|(name, _)| name == wanted);
    if let Some(name) = names.iter().find(|name| !known(name)) {
        let all: Vec<_> = steps.iter().map(|(name, _)| *name).collect();
        return Err(format!("no step `{name}`; steps: {}", all.join(", ")));
    }
    let chosen = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let mut times = Vec::new();
    for (name, step) in steps.iter().filter(|(name, _)| chosen(name)) {
        println!("── {name}");
        let start = Instant::now();
        let outcome = step(shell);
        times.push((*name, start.elapsed()));
        if let Err(why) = outcome {
            print(&times);
            let alone = format!("cargo xtask {task} {name}");
            return Err(format!("{why}\n\n{task}: step `{name}` failed; alone: {alone}"));
        }
    }
    print(&times);
    println!("{task}: all steps passed");
    Ok(())
}

fn print(times: &[(&str, Duration)]) {
    println!();
    for (name, time) in times {
        println!("{name:<12} {:>8.1} s", time.as_secs_f64());
    }
}

#[cfg(test)]
#[test]
fn a_failed_step_ends_the_run_and_an_unknown_one_does_not_begin_it() {
    use std::cell::RefCell;
    let seen = RefCell::new(String::new());
    let good = |_: &Shell| {
        seen.borrow_mut().push('g');
        Ok(())
    };
    let bad = |_: &Shell| {
        seen.borrow_mut().push('b');
        Err("broken".to_owned())
    };
    let steps: [Step<'_>; 3] = [("first", &good), ("second", &bad), ("third", &good)];
    let run = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        run(&Shell::new(), "ci", &names, &steps)
    };
    assert!(run(&[]).is_err_and(|why| why.contains("cargo xtask ci second")));
    assert_eq!(seen.take(), "gb");
    assert!(run(&["third", "first"]).is_ok());
    assert_eq!(seen.take(), "gg");
    assert!(run(&["first", "fourth"]).is_err());
    assert_eq!(seen.take(), "");
}
