//! An MCP authorization filter for Envoy: it makes any MCP server an OAuth 2.1 protected resource.
//!
//! The core is plain Rust without I/O and without a clock: bytes, a configuration and a time go in,
//! decisions and commands come out. Only `filter`, compiled for wasm alone, calls the host.

pub mod evidence;
pub mod json;
pub mod keys;
pub mod reason;
pub mod resource;
#[cfg(test)]
pub(crate) mod testing;
pub mod time;
pub mod token;
