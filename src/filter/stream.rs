//! A stream's context: it hands its request to the worker, and lets nothing through undecided.

use std::cell::Cell;
use std::rc::Rc;

use log::error;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::host;
use super::response::Part;
use super::root::Shared;
use super::worker::{Phase, Worker};
use crate::ids::StreamId;
use crate::reason::Reason;

pub(super) struct Stream {
    id: StreamId,
    worker: Shared,
    phase: Rc<Cell<Phase>>,
}

impl Stream {
    pub(super) fn new(id: u32, worker: Shared) -> Self {
        Self {
            id: StreamId(id),
            worker,
            phase: Rc::new(Cell::new(Phase::Stopped)),
        }
    }

    fn action(&self) -> Action {
        match self.phase.get() {
            Phase::Stopped => Action::Pause,
            Phase::HeadersForwarded | Phase::Forwarded | Phase::Untouched => Action::Continue,
        }
    }

    /// More of the body has come, or its end.
    fn body(&mut self, bytes: Option<usize>, ends: bool) -> Action {
        if !matches!(self.phase.get(), Phase::Forwarded | Phase::Untouched)
            && let Ok(mut worker) = self.worker.try_borrow_mut()
            && let Some(worker) = worker.as_mut()
        {
            worker.body(self.id, bytes, ends);
        }
        match self.phase.get() {
            Phase::Stopped | Phase::HeadersForwarded => Action::Pause,
            Phase::Forwarded | Phase::Untouched => Action::Continue,
        }
    }

    /// Does something with a response that is to be changed.
    fn response<T>(&self, act: impl FnOnce(&mut Worker, StreamId) -> T) -> Option<T> {
        let mut worker = self.worker.try_borrow_mut().ok()?;
        let worker = worker.as_mut()?;
        worker
            .expects_response(self.id)
            .then(|| act(worker, self.id))
    }
}

impl Context for Stream {}

/// The host deletes a stream's context as soon as it has ended, for whatever reason.
impl Drop for Stream {
    fn drop(&mut self) {
        if let Ok(mut worker) = self.worker.try_borrow_mut()
            && let Some(worker) = worker.as_mut()
        {
            worker.end(self.id);
        }
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _headers: usize, end_of_stream: bool) -> Action {
        let decided = match self.worker.try_borrow_mut() {
            Ok(mut worker) => match worker.as_mut() {
                Some(worker) => {
                    worker.begin(self.id, end_of_stream, &self.phase);
                    true
                }
                None => false,
            },
            Err(_) => false,
        };
        if !decided {
            refuse_unconfigured();
        }
        self.action()
    }

    // Bodies come here also while headers are paused, if the host is set to do that.
    fn on_http_request_body(&mut self, body_bytes: usize, end_of_stream: bool) -> Action {
        self.body(Some(body_bytes), end_of_stream)
    }

    // What waits now goes on without another call for its trailers.
    fn on_http_request_trailers(&mut self, _trailers: usize) -> Action {
        if self.phase.get() == Phase::Untouched {
            return Action::Continue;
        }
        let clean = match self.worker.try_borrow_mut() {
            Ok(mut worker) => match worker.as_mut() {
                Some(worker) => worker.trailers(self.id, &self.phase),
                None => false,
            },
            Err(_) => false,
        };
        if clean {
            self.body(None, true)
        } else {
            Action::Pause
        }
    }

    fn on_http_response_headers(&mut self, _headers: usize, end_of_stream: bool) -> Action {
        self.response(|worker, id| worker.response_headers(id, end_of_stream));
        Action::Continue
    }

    fn on_http_response_body(&mut self, body_bytes: usize, end_of_stream: bool) -> Action {
        match self.response(|worker, id| worker.response_body(id, body_bytes, end_of_stream)) {
            Some(Part::Keep) => Action::Pause,
            Some(Part::Forward) | None => Action::Continue,
        }
    }

    fn on_http_response_trailers(&mut self, _trailers: usize) -> Action {
        self.response(Worker::response_trailers);
        Action::Continue
    }
}

#[cold]
fn refuse_unconfigured() {
    error!("a request came without a configuration: it is refused");
    host::mark_reason(Reason::Internal.label());
    if host::send(&crate::gate::reply::internal()).is_err() {
        error!("the host did not send a response; the request stays stopped");
    }
}
