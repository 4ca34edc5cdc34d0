//! An MCP authorization filter for Envoy: it makes any MCP server an OAuth 2.1 protected resource.
//!
//! The core is plain Rust without I/O and without a clock: bytes, a configuration and a time go in,
//! decisions and commands come out. Its [`worker`] carries them out by calls to a
//! [`Host`](worker::host::Host); `filter`, compiled for wasm alone, is that host in Envoy.
//!
//! A request's way: [`gate::route`] finds its [`resource`] by path; [`gate::decide`] asks
//! [`bearer`] for the token, [`token`], [`keys`] and [`introspection`] whether it is good, and [`scope`], [`claim`] and
//! [`mcp`] whether it is enough; [`gate::reply`] writes the answer that [`reason`] calls for.

// Tests may name what they want and panic on the rest; other code must name every variant.
#![cfg_attr(test, allow(clippy::wildcard_enum_match_arm))]

pub mod bearer;
pub(crate) mod claim;
pub mod config;
pub mod escape;
pub mod gate;
pub mod head;
pub mod ids;
pub mod introspection;
pub mod jose;
pub mod json;
pub mod keys;
pub mod lists;
pub mod mcp;
pub(crate) mod rate_limit;
pub mod reason;
pub mod resource;
pub(crate) mod scope;
pub(crate) mod sorted_map;
pub mod template;
#[cfg(test)]
pub(crate) mod testing;
pub mod time;
pub mod token;
pub mod trust;
pub mod url;
pub mod worker;

// A native build cannot link it; clippy sees it all the same.
#[cfg(any(target_family = "wasm", clippy))]
mod filter;
