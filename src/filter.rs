//! The filter as Envoy sees it: the only code that is compiled for wasm alone, and with `host`
//! the only file that names host calls.
//!
//! A root context for each configuration owns the [`worker::Worker`]; streams borrow it. Fetches
//! are sent by the root alone, because the SDK drops the answer to a stream that has ended.

mod abi;
mod asking;
mod body;
mod host;
mod metrics;
mod protobuf;
mod refusals;
mod response;
mod root;
mod signature;
mod stream;
mod worker;

use proxy_wasm::traits::RootContext;
use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    // The host drops what is below its own level.
    proxy_wasm::set_log_level(LogLevel::Debug);
    proxy_wasm::set_root_context(|id| -> Box<dyn RootContext> { Box::new(root::Root::new(id)) });
}}
