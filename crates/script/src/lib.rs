//! Scripts in Lua: [`Luau`] runs them for the engine.
//!
//! The language is Luau, through mlua, hardened: what Lua 5.1 in Redis has and nothing else, every
//! table that outlives a call read-only, every loop in Rust counted, heap and time bounded. What a
//! script asks of the data goes through the engine's `Host`; nothing here knows a key, a clock,
//! a disk or the network.
//!
//! [`Luau`] holds a [`state`] (the Lua heap with its globals) and throws it away when a call used
//! up what it may. Functions written in Rust stand behind wrappers in Lua ([`native`]), because an
//! error raised from Rust would reach scripts as an object of mlua's.

#![forbid(unsafe_code)]

mod api;
mod base;
mod convert;
mod format;
mod library;
mod libs;
mod luau;
mod native;
mod number;
mod pattern;
mod source;
mod state;
mod strings;
mod texts;
mod threads;

pub use luau::Luau;
pub use threads::Threads;

#[cfg(test)]
mod tests;
