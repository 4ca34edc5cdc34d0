//! The worker's [`Host`], by calls to Envoy, each with its failure as a value.
//!
//! Calls go through the SDK where it can neither panic nor be too slow, else through `abi`. Only its
//! getters that return bytes are used: the others panic on a byte that is not UTF-8, which costs the
//! worker.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, MapType, MetricType};

use super::{abi, protobuf};
use crate::gate::reply::Reply;
use crate::head::Head;
use crate::ids::StreamId;
use crate::jose::signature::host::HostCheck;
use crate::keys::SharedEntry;
use crate::time::UnixNanos;
use crate::worker::host::{
    BodyOf, CallId, HeaderMap, Host, HostError, HttpCall, MetricId, MetricKind, Result,
};

/// Envoy, for the contexts of one root.
#[derive(Clone, Copy)]
pub(super) struct EnvoyHost {
    root: u32,
}

impl EnvoyHost {
    pub(super) const fn new(root: u32) -> Self {
        Self { root }
    }
}

/// The configuration, within the callback that announces it.
pub(super) fn configuration() -> Result<Vec<u8>> {
    hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX)
        .map(Option::unwrap_or_default)
        .map_err(|_| HostError)
}

impl Host for EnvoyHost {
    fn now(&self) -> Result<UnixNanos> {
        abi::time().map(UnixNanos::from_nanos)
    }

    fn random(&self) -> u64 {
        // The standard library's only source of randomness: it asks the host for its seed.
        RandomState::new().build_hasher().finish()
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn headers(&self, map: HeaderMap) -> Result<Head> {
        Head::from_pairs(abi::header_map(map_type(map))?).ok_or(HostError)
    }

    fn header(&self, map: HeaderMap, name: &str) -> Result<Option<Vec<u8>>> {
        abi::header(map_type(map), name)
    }

    fn add_header(&self, map: HeaderMap, name: &str, value: &[u8]) -> Result<()> {
        abi::add_header(map_type(map), name, value)
    }

    fn remove_header(&self, map: HeaderMap, name: &str) -> Result<()> {
        abi::remove_header(map_type(map), name)
    }

    fn body(&self, of: BodyOf, most: usize) -> Result<Vec<u8>> {
        let buffer = match of {
            BodyOf::Request => BufferType::HttpRequestBody,
            BodyOf::Response => BufferType::HttpResponseBody,
            BodyOf::CallResponse => BufferType::HttpCallResponseBody,
        };
        let body = hostcalls::get_buffer(buffer, 0, most);
        body.ok().flatten().ok_or(HostError)
    }

    fn replace_response_body(&self, bytes: usize, with: &[u8]) -> Result<()> {
        hostcalls::set_buffer(BufferType::HttpResponseBody, 0, bytes, with).map_err(|_| HostError)
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        hostcalls::get_property(path.to_vec()).ok().flatten()
    }

    fn set_state(&self, name: &str, value: &[u8]) -> Result<()> {
        abi::set_property(name, value)
    }

    fn send(&self, reply: &Reply) -> Result<()> {
        let headers = reply
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let body = (!reply.body.is_empty()).then_some(reply.body.as_bytes());
        hostcalls::send_http_response(u32::from(reply.status), headers, body).map_err(|_| HostError)
    }

    fn resume_request(&self) -> Result<()> {
        hostcalls::resume_http_request().map_err(|_| HostError)
    }

    /// The host calls with bodies if a callback says no more than "pause", and
    /// `allow_on_headers_stop_iteration` is set. The SDK has no other word, but a local response in
    /// the same callback means "pause everything". The root has no stream to respond on, so that
    /// nothing else comes of it.
    fn keep_body_back(&self, stream: StreamId) -> Result<()> {
        self.act_for_root()?;
        let sent = hostcalls::send_http_response(503, Vec::new(), None).map_err(|_| HostError);
        self.act_for(stream).and(sent)
    }

    fn act_for(&self, stream: StreamId) -> Result<()> {
        hostcalls::set_effective_context(stream.0).map_err(|_| HostError)
    }

    fn act_for_root(&self) -> Result<()> {
        hostcalls::set_effective_context(self.root).map_err(|_| HostError)
    }

    fn tick_every(&self, period: Duration) -> Result<()> {
        hostcalls::set_tick_period(period).map_err(|_| HostError)
    }

    fn dispatch(&self, call: &HttpCall<'_>) -> Result<CallId> {
        let body = (!call.body.is_empty()).then_some(call.body);
        let headers = call.headers.clone();
        hostcalls::dispatch_http_call(call.cluster, headers, body, Vec::new(), call.timeout)
            .map(CallId)
            .map_err(|_| HostError)
    }

    fn read_shared(&self, key: &str) -> Option<SharedEntry> {
        let read = || match hostcalls::get_shared_data(key) {
            Ok((Some(value), Some(version))) => Some(SharedEntry { value, version }),
            Ok(_) | Err(_) => None,
        };
        read().or_else(|| {
            // The host heeds a version only where there is an entry. With one that no entry ever
            // has, this makes the first, and never overwrites what another worker has just made.
            match hostcalls::set_shared_data(key, Some(b"\n"), Some(u32::MAX)) {
                Ok(()) | Err(_) => read(),
            }
        })
    }

    fn write_shared(&self, key: &str, value: &[u8], version: u32) -> bool {
        hostcalls::set_shared_data(key, Some(value), Some(version)).is_ok()
    }

    fn define_metric(&self, kind: MetricKind, name: &str) -> Result<MetricId> {
        let kind = match kind {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Gauge => MetricType::Gauge,
        };
        let metric = hostcalls::define_metric(kind, name);
        metric.map(MetricId).map_err(|_| HostError)
    }

    fn add_to_metric(&self, metric: MetricId, offset: i64) -> Result<()> {
        hostcalls::increment_metric(metric.0, offset).map_err(|_| HostError)
    }

    fn set_metric(&self, metric: MetricId, value: u64) -> Result<()> {
        hostcalls::record_metric(metric.0, value).map_err(|_| HostError)
    }

    fn verify_signature(&self, check: &HostCheck<'_>, message: &[u8]) -> Result<bool> {
        let fields = [check.hash.as_bytes(), check.key, &check.signature, message];
        let arguments = protobuf::message(&fields);
        hostcalls::call_foreign_function("verify_signature", Some(&arguments))
            .map(|answer| answer.is_some_and(|answer| protobuf::first_bool(&answer)))
            .map_err(|_| HostError)
    }
}

const fn map_type(map: HeaderMap) -> MapType {
    match map {
        HeaderMap::Request => MapType::HttpRequestHeaders,
        HeaderMap::RequestTrailers => MapType::HttpRequestTrailers,
        HeaderMap::Response => MapType::HttpResponseHeaders,
        HeaderMap::CallResponse => MapType::HttpCallResponseHeaders,
    }
}
