//! The calls that a worker makes to the proxy that it runs in.
//!
//! They are all that the core has of the world, time and randomness included: nothing of `src/` calls
//! a host, a clock or the operating system but `src/filter`, which carries these out in Envoy
//! (`tests/modules.rs`). Lines for the log go to the `log` crate, whose writer the filter sets.

use std::time::Duration;

use crate::gate::reply::Reply;
use crate::head::Head;
use crate::ids::StreamId;
use crate::jose::signature::host::HostCheck;
use crate::keys::SharedEntry;
use crate::time::UnixNanos;

/// The host failed, or refused a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError;

/// What comes of a call to the host.
pub type Result<T> = std::result::Result<T, HostError>;

/// Headers that the host has, each within the callback that it calls with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderMap {
    /// A request's.
    Request,
    /// A request's trailers.
    RequestTrailers,
    /// A response's.
    Response,
    /// Those of the answer to a call.
    CallResponse,
}

/// Bodies that the host has, each within the callback that it calls with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyOf {
    /// A request's, as far as it is held.
    Request,
    /// A response's, as far as it is held.
    Response,
    /// That of the answer to a call.
    CallResponse,
}

/// A call to be sent to a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall<'a> {
    /// The cluster.
    pub cluster: &'a str,
    /// Its headers, pseudo-headers first.
    pub headers: Vec<(&'a str, &'a str)>,
    /// Its body; empty for none.
    pub body: &'a [u8],
    /// After which the host gives up.
    pub timeout: Duration,
}

/// The host's number for a call that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub u32);

/// The host's number for a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricId(pub u32);

/// A kind of metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows.
    Counter,
    /// Grows and shrinks.
    Gauge,
}

/// The proxy. Calls are about the stream or root whose callback runs, or that [`Host::act_for`] and
/// [`Host::act_for_root`] name within it.
pub trait Host: Clone + 'static {
    /// The time.
    fn now(&self) -> Result<UnixNanos>;
    /// A random number, another at each call.
    fn random(&self) -> u64;
    /// A variable of the module's environment.
    fn variable(&self, name: &str) -> Option<String>;

    /// All headers.
    fn headers(&self, map: HeaderMap) -> Result<Head>;
    /// The first value of a header.
    fn header(&self, map: HeaderMap, name: &str) -> Result<Option<Vec<u8>>>;
    /// Adds a header, beside those that have its name.
    fn add_header(&self, map: HeaderMap, name: &str, value: &[u8]) -> Result<()>;
    /// Removes all headers of a name.
    fn remove_header(&self, map: HeaderMap, name: &str) -> Result<()>;
    /// The first `most` bytes of a body, or all if it is shorter.
    fn body(&self, of: BodyOf, most: usize) -> Result<Vec<u8>>;
    /// The first `bytes` bytes of a body: an error if there are fewer.
    fn whole_body(&self, of: BodyOf, bytes: usize) -> Result<Vec<u8>> {
        if bytes == 0 {
            return Ok(Vec::new());
        }
        let body = self.body(of, bytes)?;
        if body.len() == bytes {
            Ok(body)
        } else {
            Err(HostError)
        }
    }
    /// Puts `with` in the place of the first `bytes` of a response's body.
    fn replace_response_body(&self, bytes: usize, with: &[u8]) -> Result<()>;
    /// A property of a stream, or of the plugin.
    fn property(&self, path: &[&str]) -> Option<Vec<u8>>;
    /// Sets filter state of a stream: in Envoy, `wasm.NAME`.
    fn set_state(&self, name: &str, value: &[u8]) -> Result<()>;

    /// Answers a stream's request here.
    fn send(&self, reply: &Reply) -> Result<()>;
    /// Lets a stream's request go on that was paused in an earlier callback.
    fn resume_request(&self) -> Result<()>;
    /// Within the callback that pauses a request's headers: has the host keep its body back until the
    /// request is resumed, and not call with it.
    fn keep_body_back(&self, stream: StreamId) -> Result<()>;
    /// Makes the following calls be about this stream.
    fn act_for(&self, stream: StreamId) -> Result<()>;
    /// Makes the following calls be about the root.
    fn act_for_root(&self) -> Result<()>;
    /// Has the root's tick come every `period`, from now on.
    fn tick_every(&self, period: Duration) -> Result<()>;
    /// Sends a call; only within a callback of the root's own, to which the answer comes.
    fn dispatch(&self, call: &HttpCall<'_>) -> Result<CallId>;

    /// An entry of the data that all workers share, which is made if there is none.
    fn read_shared(&self, key: &str) -> Option<SharedEntry>;
    /// Writes such an entry if its version is still `version`.
    fn write_shared(&self, key: &str, value: &[u8], version: u32) -> bool;
    /// Makes a metric known.
    fn define_metric(&self, kind: MetricKind, name: &str) -> Result<MetricId>;
    /// Adds to a metric.
    fn add_to_metric(&self, metric: MetricId, offset: i64) -> Result<()>;
    /// Sets a metric.
    fn set_metric(&self, metric: MetricId, value: u64) -> Result<()>;
    /// Checks a signature (in Envoy from 1.30 on).
    fn verify_signature(&self, check: &HostCheck<'_>, message: &[u8]) -> Result<bool>;
}
