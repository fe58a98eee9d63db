//! Where log lines go, and the thread that writes them.
//!
//! Whoever logs leaves a line in a bounded queue and goes on; the thread alone waits for the
//! output. A line that finds the queue full, or that cannot be written, is lost and counted, and
//! how many were lost is said as soon as there is an output again.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing_subscriber::fmt;

/// Bytes of lines that may wait: more than a minute of a busy log, and nothing to a process.
const QUEUE_BYTES_MAX: usize = 1 << 20;
/// Time between two looks at whether the file still has its name.
const ROUND: Duration = Duration::from_secs(1);
/// An output that takes nothing without blocking is tried again so often, a millisecond apart.
const FULL_TRIES: u32 = 100;

/// The queue in front of the thread.
#[derive(Debug, Default)]
pub(super) struct Output {
    queue: Mutex<Queue>,
    /// There is something for the thread.
    changed: Condvar,
    /// Nothing is queued and nothing is being written.
    drained: Condvar,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    reopen: bool,
    /// The thread has taken lines and is not through with them.
    writing: bool,
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread, which also does `round` once a second.
    pub(super) fn start(
        self: &Arc<Self>,
        sink: Sink,
        round: impl Fn() + Send + 'static,
    ) -> io::Result<()> {
        let this = Arc::clone(self);
        let thread = std::thread::Builder::new().name("log-lines".to_owned());
        thread.spawn(move || this.work(sink, round)).map(drop)
    }

    fn push(&self, line: &[u8]) {
        let mut queue = self.lock();
        if queue.bytes + line.len() > QUEUE_BYTES_MAX {
            self.lost.fetch_add(1, Relaxed);
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back(line.to_vec());
        drop(queue);
        self.changed.notify_one();
    }

    /// See [`super::Log`].
    pub(super) fn reopen(&self) {
        self.lock().reopen = true;
        self.changed.notify_one();
    }

    /// See [`super::Log`].
    pub(super) fn lines_lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Waits until everything is written, at most so long.
    pub(super) fn flush(&self, limit: Duration) {
        let busy = |queue: &mut Queue| queue.writing || !queue.lines.is_empty();
        drop(self.drained.wait_timeout_while(self.lock(), limit, busy));
    }

    /// What there is to write, after `limit` at the latest, and whether to open the file anew.
    fn take(&self, limit: Duration) -> (VecDeque<Vec<u8>>, bool) {
        let idle = |queue: &mut Queue| queue.lines.is_empty() && !queue.reopen;
        let waited = self.changed.wait_timeout_while(self.lock(), limit, idle);
        let mut queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        queue.bytes = 0;
        queue.writing = true;
        (std::mem::take(&mut queue.lines), std::mem::take(&mut queue.reopen))
    }

    fn work(&self, mut sink: Sink, round: impl Fn()) {
        let (mut next, mut said) = (Instant::now() + ROUND, 0);
        loop {
            let (lines, reopen) = self.take(next.saturating_duration_since(Instant::now()));
            let due = next <= Instant::now();
            if reopen || (due && sink.has_moved()) {
                sink.reopen();
            }
            let mut written = false;
            for line in lines {
                written = sink.write(&line);
                if !written {
                    self.lost.fetch_add(1, Relaxed);
                }
            }
            let lost = self.lines_lost();
            if written && lost > said {
                let (count, why) = (lost - said, sink.why());
                said = lost;
                tracing::warn!(count, since_start = lost, why, "log lines were lost");
            }
            let mut queue = self.lock();
            queue.writing = false;
            if queue.lines.is_empty() {
                self.drained.notify_all();
            }
            drop(queue);
            if due {
                next = Instant::now() + ROUND;
                round();
            }
        }
    }
}

/// One line, as the formatter hands it over: whole, in one call.
pub(super) struct Line<'a>(&'a Output);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The output as the formatter takes it.
pub(super) struct Lines(pub(super) Arc<Output>);

impl<'a> fmt::MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

/// An output, which may fail and come back.
pub(super) struct Sink {
    to: Box<dyn Write + Send>,
    /// The file's path, and which file it was (device and number) when it was opened.
    file: Option<(PathBuf, (u64, u64))>,
    /// The last line ends somewhere in its middle.
    cut: bool,
    /// Why a line was lost; empty: the queue was full.
    why: String,
}

impl Sink {
    fn new(to: impl Write + Send + 'static) -> Self {
        Self { to: Box::new(to), file: None, cut: false, why: String::new() }
    }

    /// The process's standard error.
    pub(super) fn standard_error() -> Self {
        Self::new(io::stderr())
    }

    /// A file that is appended to.
    pub(super) fn file(path: PathBuf) -> io::Result<Self> {
        let (file, id) = open(&path)?;
        Ok(Self { file: Some((path, id)), ..Self::new(file) })
    }

    /// Whether the file's path leads elsewhere by now, or nowhere.
    fn has_moved(&self) -> bool {
        let moved = |(path, id): &(PathBuf, (u64, u64))| {
            std::fs::metadata(path).map_or(true, |facts| (facts.dev(), facts.ino()) != *id)
        };
        self.file.as_ref().is_some_and(moved)
    }

    /// Opens the file anew. What cannot be opened is tried again; meanwhile lines go where they
    /// went.
    fn reopen(&mut self) {
        let Some((path, id)) = &mut self.file else { return };
        match open(path) {
            Ok((file, opened)) => {
                self.to = Box::new(file);
                self.cut = false;
                *id = opened;
                tracing::info!(path = %path.display(), "the log's file was opened anew");
            }
            Err(why) => {
                // Makes the next look try again, whatever is there.
                *id = (0, 0);
                tracing::warn!(path = %path.display(), %why, "the log's file cannot be opened");
            }
        }
    }

    /// Whether the line is written.
    fn write(&mut self, line: &[u8]) -> bool {
        let outcome = if self.cut { self.put(b"\n") } else { Ok(()) };
        if outcome.is_ok() {
            self.cut = false;
        }
        match outcome.and_then(|()| self.put(line)) {
            Ok(()) => true,
            Err(why) => {
                self.why = why.to_string();
                false
            }
        }
    }

    fn put(&mut self, mut rest: &[u8]) -> io::Result<()> {
        let mut tries = 0;
        while !rest.is_empty() {
            match self.to.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    rest = rest.get(count..).unwrap_or(&[]);
                    self.cut = !rest.is_empty();
                }
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                // Somebody who shares the output has set it so that it does not block.
                Err(why) if why.kind() == ErrorKind::WouldBlock && tries < FULL_TRIES => {
                    tries += 1;
                    #[allow(clippy::disallowed_methods, reason = "this thread serves nobody else")]
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    /// Why lines were lost, told once.
    fn why(&mut self) -> String {
        match std::mem::take(&mut self.why) {
            why if why.is_empty() => "the output was too slow".to_owned(),
            why => why,
        }
    }
}

fn open(path: &PathBuf) -> io::Result<(File, (u64, u64))> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let facts = file.metadata()?;
    Ok((file, (facts.dev(), facts.ino())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// An output that does what it is told with each write.
    struct Told(mpsc::Receiver<io::Result<usize>>, Arc<Mutex<Vec<u8>>>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.0.recv().expect("the test goes on")?.min(bytes.len());
            self.1.lock().expect("no panic").extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_was_cut_does_not_swallow_the_next() {
        let (tell, told) = mpsc::channel();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut sink = Sink::new(Told(told, Arc::clone(&seen)));
        let full = || io::Error::from(ErrorKind::StorageFull);
        for step in [Ok(9), Ok(2), Err(full()), Err(full()), Ok(9), Ok(9)] {
            tell.send(step).expect("it listens");
        }
        let written = ["one\n", "two\n", "three\n", "four\n"].map(|it| sink.write(it.as_bytes()));
        assert_eq!(written, [true, false, false, true]);
        assert_eq!(seen.lock().expect("no panic").as_slice(), b"one\ntw\nfour\n");
        assert_eq!(sink.why(), full().to_string());
    }

    #[test]
    fn whoever_logs_never_waits_for_an_output_that_hangs() {
        let (tell, told) = mpsc::channel();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let output = Arc::new(Output::default());
        let sink = Sink::new(Told(told, Arc::clone(&seen)));
        output.start(sink, || {}).expect("a thread");
        let line = [b'x'; 1024];
        let lines = 3 * QUEUE_BYTES_MAX / line.len();
        for _ in 0..lines {
            output.push(&line);
        }
        let lost = usize::try_from(output.lines_lost()).expect("a number");
        assert!(lost > 0 && lost < lines, "{lost} of {lines}");
        output.flush(Duration::from_millis(1));
        for _ in 0..lines - lost {
            tell.send(Ok(line.len())).expect("it listens");
        }
        output.flush(Duration::from_mins(1));
        assert_eq!(seen.lock().expect("no panic").len(), (lines - lost) * line.len());
    }
}
