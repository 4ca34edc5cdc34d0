//! Every call to the host, each with its failure as a value.
//!
//! Only getters that return bytes are used: the string getters of the SDK panic on a byte that is
//! not UTF-8, which costs the worker.

use std::time::Duration;

use log::error;
use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, MapType, MetricType};

use super::{abi, protobuf};
use crate::gate::Edits;
use crate::gate::reply::Reply;
use crate::head::Head;
use crate::jose::signature::host::HostCheck;
use crate::keys::{FetchOutcome, MAX_RESPONSE_BYTES, SharedEntry};
use crate::time::UnixNanos;
use crate::url::HttpUrl;

/// The host failed, or refused a call.
#[derive(Debug)]
pub(super) struct HostError;

pub(super) type Result<T> = std::result::Result<T, HostError>;

/// What filter state says of a request: the interlock behind the filter looks for it.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    /// Its token was good.
    Allow,
    /// It is for no resource.
    Pass,
    /// A CORS preflight that the server answers.
    Preflight,
    /// It would not have been forwarded, but `mode` is observe.
    Observe,
    /// Nothing was judged: `enabled` is false.
    Off,
}

pub(super) fn now() -> Result<UnixNanos> {
    abi::time().map(UnixNanos::from_nanos)
}

pub(super) fn configuration() -> Result<Vec<u8>> {
    hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX)
        .map(Option::unwrap_or_default)
        .map_err(|_| HostError)
}

/// A single request header: for the path, and the authority where hosts matter.
pub(super) fn request_header(name: &str) -> Result<Option<Vec<u8>>> {
    abi::header(MapType::HttpRequestHeaders, name)
}

/// All request headers, and whether nothing follows them.
pub(super) fn request_head(ends: bool) -> Result<Head> {
    Ok(head(MapType::HttpRequestHeaders)?.ending(ends))
}

/// Takes those of a request's trailers away that `which` names, within their callback.
pub(super) fn remove_trailers(which: impl FnOnce(&Head) -> Vec<String>) -> Result<()> {
    for name in which(&head(MapType::HttpRequestTrailers)?) {
        abi::remove_header(MapType::HttpRequestTrailers, &name)?;
    }
    Ok(())
}

pub(super) fn edit_request(edits: &Edits) -> Result<()> {
    for name in &edits.remove {
        abi::remove_header(MapType::HttpRequestHeaders, name)?;
    }
    for (fact, value) in edits.facts() {
        abi::set_property(fact, value.as_bytes())?;
    }
    // Added, not replaced: Envoy need not look for a header that is known not to be there.
    for (name, value) in edits.headers() {
        abi::add_header(MapType::HttpRequestHeaders, name, value.as_bytes())?;
    }
    Ok(())
}

pub(super) fn mark(mark: Mark) -> Result<()> {
    let value: &[u8] = match mark {
        Mark::Allow => b"allow",
        Mark::Pass => b"pass",
        Mark::Preflight => b"preflight",
        Mark::Observe => b"observe",
        Mark::Off => b"off",
    };
    abi::set_property("mcp_auth", value)
}

/// Why a request was, or in observe mode would have been, refused: for access logs.
pub(super) fn mark_reason(reason: &str) {
    if abi::set_property("mcp_auth_reason", reason.as_bytes()).is_err() {
        error!("the host refused filter state for a reason");
    }
}

pub(super) fn send(reply: &Reply) -> Result<()> {
    let headers = reply
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let body = (!reply.body.is_empty()).then_some(reply.body.as_bytes());
    hostcalls::send_http_response(u32::from(reply.status), headers, body).map_err(|_| HostError)
}

pub(super) fn resume_request() -> Result<()> {
    hostcalls::resume_http_request().map_err(|_| HostError)
}

/// Makes the following calls be about this context.
pub(super) fn act_for(context: u32) -> Result<()> {
    hostcalls::set_effective_context(context).map_err(|_| HostError)
}

/// Within the callback that pauses a request's headers: has the host keep the body back until the
/// request is resumed, and not call with it, whatever `allow_on_headers_stop_iteration` is.
///
/// The host calls with bodies if a callback says no more than "pause". The SDK has no other word,
/// but a local response in the same callback means "pause everything". The root has no stream to
/// respond on, so that nothing else comes of it.
pub(super) fn keep_body_back(stream: u32, root: u32) -> Result<()> {
    act_for(root)?;
    let sent = hostcalls::send_http_response(503, Vec::new(), None).map_err(|_| HostError);
    act_for(stream).and(sent)
}

/// Has the root's tick come every `period`, from whichever context this is called.
pub(super) fn tick_every(period: Duration) {
    if hostcalls::set_tick_period(period).is_err() {
        error!("the host refused a tick period");
    }
}

/// Sends a GET, or a form by POST; the root must be the context that is called by the host.
pub(super) fn dispatch(
    cluster: &str,
    url: &HttpUrl,
    form: Option<&[u8]>,
    timeout: Duration,
) -> Result<u32> {
    let path = match url.path_and_query() {
        "" => "/",
        path => path,
    };
    let mut headers = vec![
        (":method", if form.is_some() { "POST" } else { "GET" }),
        (":scheme", url.scheme()),
        (":authority", url.authority()),
        (":path", path),
        ("accept", "application/json"),
        (
            "user-agent",
            concat!("mcp-auth-filter/", env!("CARGO_PKG_VERSION")),
        ),
    ];
    let length = form.map(|form| form.len().to_string());
    if let Some(length) = &length {
        headers.push(("content-type", "application/x-www-form-urlencoded"));
        headers.push(("content-length", length));
    }
    hostcalls::dispatch_http_call(cluster, headers, form, Vec::new(), timeout)
        .map_err(|_| HostError)
}

/// What came of a fetch, within its callback.
pub(super) fn fetch_outcome(headers: usize, body_bytes: usize) -> FetchOutcome {
    // Asking for headers that are not there panics in the SDK: a reset has none.
    if headers == 0 {
        return FetchOutcome::Failed;
    }
    if body_bytes > MAX_RESPONSE_BYTES {
        return FetchOutcome::TooLarge;
    }
    let status = abi::header(MapType::HttpCallResponseHeaders, ":status")
        .ok()
        .flatten()
        .and_then(|status| std::str::from_utf8(&status).ok()?.parse().ok());
    let cache_control = abi::header(MapType::HttpCallResponseHeaders, "cache-control")
        .ok()
        .flatten()
        .unwrap_or_default();
    let body = if body_bytes == 0 {
        Some(Vec::new())
    } else {
        hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, body_bytes)
            .ok()
            .flatten()
    };
    match (status, body) {
        (Some(status), Some(body)) => FetchOutcome::Response {
            status,
            cache_control,
            body,
        },
        (Some(_), None) | (None, Some(_) | None) => FetchOutcome::Failed,
    }
}

/// What the host has received of a request so far, in bytes.
pub(super) fn received() -> Option<u64> {
    let bytes = hostcalls::get_property(vec!["request", "total_size"]).ok()??;
    bytes.try_into().ok().map(u64::from_le_bytes)
}

/// A part of a request's body, within its callback.
pub(super) fn request_body(start: usize, bytes: usize) -> Result<Vec<u8>> {
    if bytes == 0 {
        return Ok(Vec::new());
    }
    match hostcalls::get_buffer(BufferType::HttpRequestBody, start, bytes) {
        Ok(Some(part)) if part.len() == bytes => Ok(part),
        Ok(_) | Err(_) => Err(HostError),
    }
}

pub(super) fn response_head() -> Result<Head> {
    head(MapType::HttpResponseHeaders)
}

fn head(map: MapType) -> Result<Head> {
    Head::from_pairs(abi::header_map(map)?).ok_or(HostError)
}

pub(super) fn remove_response_headers(names: &[&str]) {
    for name in names {
        if abi::remove_header(MapType::HttpResponseHeaders, name).is_err() {
            error!("the host did not remove a response header");
        }
    }
}

pub(super) fn add_response_headers(headers: &[(&str, String)]) {
    for (name, value) in headers {
        let value = value.as_bytes();
        if hostcalls::add_map_value_bytes(MapType::HttpResponseHeaders, name, value).is_err() {
            error!("the host did not add a response header");
        }
    }
}

/// A response's body as far as it has come, within its callback.
pub(super) fn response_body(bytes: usize) -> Result<Vec<u8>> {
    if bytes == 0 {
        return Ok(Vec::new());
    }
    match hostcalls::get_buffer(BufferType::HttpResponseBody, 0, bytes) {
        Ok(Some(part)) if part.len() == bytes => Ok(part),
        Ok(_) | Err(_) => Err(HostError),
    }
}

/// How much of a response's body was kept, within the callback of its trailers.
pub(super) fn kept_response_body() -> Option<usize> {
    let kept = hostcalls::get_buffer(BufferType::HttpResponseBody, 0, usize::MAX);
    kept.ok().flatten().map(|kept| kept.len())
}

/// Puts `body` in the place of the first `bytes`, within a callback that has them.
pub(super) fn replace_response_body(bytes: usize, body: &[u8]) {
    if hostcalls::set_buffer(BufferType::HttpResponseBody, 0, bytes, body).is_err() {
        error!("the host did not replace a response's body");
    }
}

/// Has the host check a signature (`verify_signature`, Envoy 1.30 and later).
pub(super) fn verify_signature(check: &HostCheck<'_>, message: &[u8]) -> Result<bool> {
    let fields = [check.hash.as_bytes(), check.key, &check.signature, message];
    let arguments = protobuf::message(&fields);
    hostcalls::call_foreign_function("verify_signature", Some(&arguments))
        .map(|answer| answer.is_some_and(|answer| protobuf::first_bool(&answer)))
        .map_err(|_| HostError)
}

/// Whether the operator says which plugins share data with this one, by a `vm_id`. Without one,
/// every plugin of the proxy does: keys are not taken from those.
pub(super) fn has_own_shared_data() -> bool {
    matches!(hostcalls::get_property(vec!["plugin_vm_id"]), Ok(Some(id)) if !id.is_empty())
}

/// An entry of the shared data, which is made if there is none.
pub(super) fn read_shared(key: &str) -> Option<SharedEntry> {
    let read = || match hostcalls::get_shared_data(key) {
        Ok((Some(value), Some(version))) => Some(SharedEntry { value, version }),
        Ok(_) | Err(_) => None,
    };
    read().or_else(|| {
        // The host heeds a version only where there is an entry. With one that no entry ever has,
        // this makes the first, and never overwrites what another worker has just made.
        match hostcalls::set_shared_data(key, Some(b"\n"), Some(u32::MAX)) {
            Ok(()) | Err(_) => read(),
        }
    })
}

/// Writes an entry if its version is still `version`.
pub(super) fn write_shared(key: &str, value: &[u8], version: u32) -> bool {
    hostcalls::set_shared_data(key, Some(value), Some(version)).is_ok()
}

pub(super) fn define_counter(name: &str) -> Option<u32> {
    hostcalls::define_metric(MetricType::Counter, name).ok()
}

pub(super) fn define_gauge(name: &str) -> Option<u32> {
    hostcalls::define_metric(MetricType::Gauge, name).ok()
}

/// Adds to a counter, or to a gauge.
pub(super) fn add(metric: u32, offset: i64) {
    if hostcalls::increment_metric(metric, offset).is_err() {
        error!("the host refused a metric");
    }
}

pub(super) fn record(metric: u32, value: u64) {
    if hostcalls::record_metric(metric, value).is_err() {
        error!("the host refused a gauge");
    }
}
