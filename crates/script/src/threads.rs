//! An interpreter for each thread that runs scripts.
//!
//! Scripts run on whatever thread long work is given to; a heap of Luau stays on the one that made
//! it, and with it what is compiled there.

use crate::Luau;
use quorate_engine::{Interpreter, Language};
use std::cell::RefCell;

thread_local! {
    static LUAU: RefCell<Luau> = RefCell::new(Luau::new());
}

/// Lua for whichever thread asks: a heap belongs to the thread that made it, and stays with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads;

impl Language for Threads {
    fn with(&self, work: &mut dyn FnMut(&mut (dyn Interpreter + 'static))) {
        LUAU.with(|luau| match luau.try_borrow_mut() {
            Ok(mut luau) => work(&mut *luau),
            // Within a script already.
            Err(_) => work(&mut Luau::new()),
        });
    }
}
