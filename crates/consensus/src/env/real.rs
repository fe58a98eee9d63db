//! The real surroundings: tokio, the operating system's disk, clocks and randomness, and gRPC. The
//! only place of this crate that asks the system for any of them; the simulation has its own
//! (`sim/env.rs`).

use crate::env::log_writer::{ThreadWriter, elapsed};
use crate::env::{Env, LogWriter};
use crate::peer::grpc::GrpcTransport;
use crate::peer::pace::{self, PacedRuntime};
use futures::future::BoxFuture;
use quorate_store::{Log, OsDisk};
use std::sync::Arc;
use std::time::Duration;

/// See the module.
#[derive(Clone)]
pub(crate) struct RealEnv {
    transport: GrpcTransport,
}

impl RealEnv {
    pub(crate) fn new(transport: GrpcTransport) -> Self {
        Self { transport }
    }
}

impl Env for RealEnv {
    type Rt = PacedRuntime;
    type Disk = OsDisk;
    type Transport = GrpcTransport;

    fn transport(&self) -> &GrpcTransport {
        &self.transport
    }

    fn elapsed(&self) -> Duration {
        elapsed()
    }

    fn set_pace(&self, stretch: u32, round_trip: Duration) {
        pace::set(stretch, round_trip);
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock; through libc, where a test can shift it"
    )]
    fn wall_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn log_writer(&self, log: Log<OsDisk>) -> Arc<dyn LogWriter> {
        ThreadWriter::start(log)
    }

    fn heavy<T, F>(&self, work: F) -> BoxFuture<'static, T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let done = tokio::task::spawn_blocking(work);
        Box::pin(async move {
            match done.await {
                Ok(value) => value,
                // A panic there is a panic here; it ends the process.
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime is going down: whoever waits goes with it.
                    Err(_) => std::future::pending().await,
                },
            }
        })
    }
}

/// A random number from the operating system.
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            // No kernel that runs this refuses; without randomness node ids would not be unique.
            Err(error) => std::panic::panic_any(format!("no randomness: {error}")),
        }
    }
    u64::from_ne_bytes(bytes)
}
