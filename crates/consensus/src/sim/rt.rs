//! The simulated runtime with processes: tasks belong to a [`Process`], and killing it ends all of
//! them at once.
//!
//! openraft's `SimRuntime` gives one thread, first-in-first-out scheduling and a virtual clock.
//! What it lacks is a crash: here every task remembers the process that spawned it, and a killed
//! process's tasks are dropped where they stand.

use openraft::AsyncRuntime;
use openraft_rt_sim::SimRuntime;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

thread_local! {
    static CURRENT: RefCell<Option<Process>> = const { RefCell::new(None) };
}

/// A simulated process: a set of tasks that die together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Process(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    dead: bool,
    next: u64,
    wakers: BTreeMap<u64, Waker>,
}

impl Process {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends every task of this process. None of them runs again; they are dropped in the order they
    /// were spawned.
    pub(crate) fn kill(&self) {
        let wakers = self.with(|state| {
            state.dead = true;
            std::mem::take(&mut state.wakers)
        });
        wakers.into_values().for_each(Waker::wake);
    }

    /// Runs `work` as this process: what it spawns belongs to it.
    pub(crate) fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = CURRENT.with(|current| current.replace(Some(self.clone())));
        let result = work();
        CURRENT.with(|current| current.replace(before));
        result
    }
}

/// A task of a process.
struct Task<F> {
    process: Process,
    id: u64,
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> Future for Task<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let (process, id) = (self.process.clone(), self.id);
        if process.with(|state| state.dead) {
            let future = self.future.take();
            process.enter(|| drop(future));
            return Poll::Pending;
        }
        let Some(future) = self.future.as_mut() else { return Poll::Pending };
        let polled = process.enter(|| future.as_mut().poll(cx));
        process.with(|state| match &polled {
            Poll::Pending if !state.dead => {
                state.wakers.insert(id, cx.waker().clone());
            }
            // A task that ended its own process is dropped at the next poll.
            Poll::Pending => cx.waker().wake_by_ref(),
            Poll::Ready(_) => {
                state.wakers.remove(&id);
            }
        });
        polled
    }
}

/// [`SimRuntime`] with processes.
#[derive(Debug)]
pub(crate) struct SimRt(SimRuntime);

impl SimRt {
    pub(crate) fn with_seed(seed: u64) -> Self {
        Self(SimRuntime::with_seed(seed))
    }
}

impl AsyncRuntime for SimRt {
    type JoinError = <SimRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: Send + 'static> = <SimRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <SimRuntime as AsyncRuntime>::Sleep;
    type Instant = <SimRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <SimRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + Send> = <SimRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = <SimRuntime as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = <SimRuntime as AsyncRuntime>::Mpsc;
    type Watch = <SimRuntime as AsyncRuntime>::Watch;
    type Oneshot = <SimRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: Send + 'static> = <SimRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        match CURRENT.with(|current| current.borrow().clone()) {
            None => SimRuntime::spawn(future),
            Some(process) => {
                let id = process.with(|state| {
                    state.next += 1;
                    state.next
                });
                SimRuntime::spawn(Task { process, id, future: Some(Box::pin(future)) })
            }
        }
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        SimRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        SimRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + Send>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        SimRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + Send>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        SimRuntime::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        SimRuntime::is_panic(join_error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        SimRuntime::thread_rng()
    }

    fn new(threads: usize) -> Self {
        Self(SimRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}
