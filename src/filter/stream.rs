//! A stream's context: it hands its callbacks to the worker, and lets nothing through undecided.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types;

use super::host::EnvoyHost;
use super::root::SharedWorker;
use crate::ids::StreamId;
use crate::worker::{Action, Stream, Worker, refuse_unconfigured};

pub(super) struct StreamContext {
    stream: Stream,
    host: EnvoyHost,
    worker: SharedWorker,
}

impl StreamContext {
    pub(super) fn new(id: StreamId, host: EnvoyHost, worker: SharedWorker) -> Self {
        Self {
            stream: Stream::new(id),
            host,
            worker,
        }
    }

    fn with_worker<T>(&self, act: impl FnOnce(&mut Worker<EnvoyHost>, &Stream) -> T) -> Option<T> {
        let mut worker = self.worker.try_borrow_mut().ok()?;
        worker.as_mut().map(|worker| act(worker, &self.stream))
    }
}

impl Context for StreamContext {}

/// The host deletes a stream's context as soon as it has ended, for whatever reason.
impl Drop for StreamContext {
    fn drop(&mut self) {
        self.with_worker(Worker::end);
    }
}

impl HttpContext for StreamContext {
    fn on_http_request_headers(&mut self, _headers: usize, ends: bool) -> types::Action {
        let action = self.with_worker(|worker, stream| worker.request_headers(stream, ends));
        action.map_or_else(
            || {
                refuse_unconfigured(&self.host);
                types::Action::Pause
            },
            of_host,
        )
    }

    fn on_http_request_body(&mut self, bytes: usize, ends: bool) -> types::Action {
        let action = self.with_worker(|worker, stream| worker.request_body(stream, bytes, ends));
        of_host(action.unwrap_or_else(|| self.stream.body_action()))
    }

    fn on_http_request_trailers(&mut self, _trailers: usize) -> types::Action {
        let action = self.with_worker(Worker::request_trailers);
        action.map_or(types::Action::Pause, of_host)
    }

    fn on_http_response_headers(&mut self, _headers: usize, ends: bool) -> types::Action {
        self.with_worker(|worker, stream| worker.response_headers(stream, ends));
        types::Action::Continue
    }

    fn on_http_response_body(&mut self, bytes: usize, ends: bool) -> types::Action {
        let action = self.with_worker(|worker, stream| worker.response_body(stream, bytes, ends));
        action.map_or(types::Action::Continue, of_host)
    }

    fn on_http_response_trailers(&mut self, _trailers: usize) -> types::Action {
        self.with_worker(Worker::response_trailers);
        types::Action::Continue
    }
}

const fn of_host(action: Action) -> types::Action {
    match action {
        Action::Continue => types::Action::Continue,
        Action::Pause => types::Action::Pause,
    }
}
