//! The waits of the computer itself, to set against those of a server.
//!
//! On a shared host a virtual processor stands still for some milliseconds now and then; nothing
//! that runs on it can wait less than that.

use std::time::{Duration, Instant};

/// For so long is looked.
const LOOK: Duration = Duration::from_secs(10);

/// One line for a bench that looks for the longest wait: how long threads that do nothing but look
/// at the clock, one for each processor, were not let run.
pub(super) fn print() {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads: Vec<_> = (0..processors).map(|_| std::thread::spawn(gaps)).collect();
    let all = threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default());
    let mut gaps: Vec<f64> = all.collect();
    gaps.sort_by(|one, other| other.total_cmp(one));
    let longest: Vec<String> = gaps.iter().take(5).map(|gap| format!("{gap:.1}")).collect();
    let (seconds, longest) = (LOOK.as_secs(), longest.join(", "));
    println!("this machine by itself, {seconds} s: longest gaps {longest} ms");
}

/// Every gap of a millisecond or more.
fn gaps() -> Vec<f64> {
    let begin = Instant::now();
    let (mut last, mut gaps) = (begin, Vec::new());
    while last - begin < LOOK {
        let now = Instant::now();
        let gap = now - last;
        if gap >= Duration::from_millis(1) {
            gaps.push(gap.as_secs_f64() * 1e3);
        }
        last = now;
    }
    gaps
}
