//! The root context: one for each configuration and worker.

use std::cell::RefCell;
use std::rc::Rc;

use log::{error, warn};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use super::host::{self, EnvoyHost};
use super::stream::StreamContext;
use crate::config::Config;
use crate::ids::StreamId;
use crate::worker::Worker;
use crate::worker::host::CallId;

/// The worker that the root shares with its streams; empty until there is a configuration.
pub(super) type SharedWorker = Rc<RefCell<Option<Worker<EnvoyHost>>>>;

pub(super) struct Root {
    host: EnvoyHost,
    worker: SharedWorker,
}

impl Root {
    pub(super) fn new(id: u32) -> Self {
        Self {
            host: EnvoyHost::new(id),
            worker: SharedWorker::default(),
        }
    }

    fn with_worker(&self, act: impl FnOnce(&mut Worker<EnvoyHost>)) {
        match self.worker.try_borrow_mut() {
            Ok(mut worker) => {
                if let Some(worker) = worker.as_mut() {
                    act(worker);
                }
            }
            Err(_) => error!("the worker is in use: the host called back within a call"),
        }
    }
}

impl Context for Root {
    fn on_http_call_response(
        &mut self,
        call: u32,
        headers: usize,
        body_bytes: usize,
        _trailers: usize,
    ) {
        self.with_worker(|worker| worker.call_response(CallId(call), headers, body_bytes));
    }
}

/// The host deletes the root's context when its configuration is no longer used.
impl Drop for Root {
    fn drop(&mut self) {
        self.with_worker(Worker::shut_down);
    }
}

impl RootContext for Root {
    /// Depends on the configuration bytes alone: a worker that fails here where the canary did
    /// not would be bypassed by Envoy.
    fn on_configure(&mut self, _size: usize) -> bool {
        let Ok(json) = host::configuration() else {
            error!("the host has no configuration to read");
            return false;
        };
        match Config::parse(&json) {
            Ok(config) => {
                for warning in &config.warnings {
                    warn!("{warning}");
                }
                let worker = Worker::new(self.host, config);
                self.worker = Rc::new(RefCell::new(Some(worker)));
                true
            }
            Err(error) => {
                error!("{error}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        self.with_worker(Worker::tick);
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        let worker = Rc::clone(&self.worker);
        Some(Box::new(StreamContext::new(
            StreamId(id),
            self.host,
            worker,
        )))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
