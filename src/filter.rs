//! The filter as Envoy sees it: contexts that hand the host's callbacks to a
//! [`Worker`](crate::worker::Worker), and its [`Host`](crate::worker::host::Host), by calls to Envoy.
//! It decides nothing.
//!
//! A root context for each configuration owns the worker; streams borrow it. Calls are sent by the
//! root alone, because the SDK drops the answer to a stream that has ended.

mod abi;
mod host;
mod protobuf;
mod root;
mod stream;

use proxy_wasm::traits::RootContext;
use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    // The host drops what is below its own level.
    proxy_wasm::set_log_level(LogLevel::Debug);
    proxy_wasm::set_root_context(|id| -> Box<dyn RootContext> { Box::new(root::Root::new(id)) });
}}
