//! A host in memory, and a proxy around it: streams with their headers, bodies and filter state,
//! calls, shared data, metrics, a clock.

#![allow(clippy::arithmetic_side_effects)]

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::super::host::{
    BodyOf, CallId, HeaderMap, Host, HostError, HttpCall, MetricId, MetricKind, Result,
};
use super::super::{Action, Stream, Worker};
use super::{NOW, config};
use crate::gate::reply::Reply;
use crate::head::Head;
use crate::ids::StreamId;
use crate::jose::signature::host::HostCheck;
use crate::keys::SharedEntry;
use crate::time::UnixNanos;

type Headers = Vec<(String, Vec<u8>)>;

/// Whose callback runs, or whom calls are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Context {
    Root,
    Stream(StreamId),
}

/// What the host has of a stream.
#[derive(Default)]
pub(super) struct StreamState {
    maps: BTreeMap<u8, Headers>,
    /// Of its request, what has come and did not go on.
    pub(super) held: Vec<u8>,
    /// How much of its request has come.
    received: u64,
    /// Of its response, what has come and did not go on.
    pub(super) response: Vec<u8>,
    pub(super) state: BTreeMap<String, String>,
    pub(super) reply: Option<Reply>,
    /// The headers that were sent on.
    pub(super) forwarded: Option<Head>,
    /// The body that was sent on.
    pub(super) sent: Vec<u8>,
    ended: bool,
    body_kept_back: bool,
    /// Its trailers wait to be resumed.
    trailers_wait: bool,
}

pub(super) struct SentCall {
    pub(super) cluster: String,
    pub(super) headers: Vec<(String, String)>,
}

#[derive(Default)]
pub(super) struct World {
    now: UnixNanos,
    randoms: u64,
    callback: Option<Context>,
    about: Option<Context>,
    pub(super) streams: BTreeMap<StreamId, StreamState>,
    pub(super) calls: Vec<SentCall>,
    answer: (Headers, Vec<u8>),
    shared: BTreeMap<String, SharedEntry>,
    pub(super) metrics: BTreeMap<String, (MetricKind, i64)>,
    metric_names: Vec<String>,
    pub(super) tick: Duration,
    /// The call that fails.
    pub(super) fails: Option<&'static str>,
    /// How often each call was made.
    pub(super) made: BTreeMap<&'static str, usize>,
    /// The streams that were answered or resumed, in order.
    pub(super) settled: Vec<StreamId>,
    /// Whether it says of every signature that it is good.
    pub(super) calls_all_signatures_good: bool,
    pub(super) has_vm_id: bool,
}

#[derive(Clone, Default)]
pub(super) struct MemoryHost(Rc<RefCell<World>>);

impl MemoryHost {
    pub(super) fn world(&self) -> RefMut<'_, World> {
        self.0.borrow_mut()
    }

    /// Counts a call; an error if it is to fail.
    fn call(&self, name: &'static str) -> Result<RefMut<'_, World>> {
        let mut world = self.world();
        *world.made.entry(name).or_default() += 1;
        if world.fails == Some(name) {
            return Err(HostError);
        }
        Ok(world)
    }
}

impl World {
    /// The stream that calls are about, if it is still there.
    fn stream(&mut self) -> Result<&mut StreamState> {
        match self.about {
            Some(Context::Stream(id)) => self.streams.get_mut(&id).ok_or(HostError),
            Some(Context::Root) | None => Err(HostError),
        }
    }

    fn settle(&mut self) {
        if let (Some(Context::Root), Some(Context::Stream(id))) = (self.callback, self.about) {
            self.settled.push(id);
        }
    }
}

impl Host for MemoryHost {
    fn now(&self) -> Result<UnixNanos> {
        Ok(self.call("now")?.now)
    }

    fn random(&self) -> u64 {
        let mut world = self.world();
        world.randoms += 1;
        world.randoms
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn headers(&self, map: HeaderMap) -> Result<Head> {
        let mut world = self.call("headers")?;
        let headers = match map {
            HeaderMap::CallResponse => Some(&world.answer.0),
            _ => world.stream()?.maps.get(&(map as u8)),
        };
        Ok(Head::new(headers.cloned().unwrap_or_default()))
    }

    fn header(&self, map: HeaderMap, name: &str) -> Result<Option<Vec<u8>>> {
        let mut world = self.call("header")?;
        let headers = match map {
            HeaderMap::CallResponse => Some(&world.answer.0),
            _ => world.stream()?.maps.get(&(map as u8)),
        };
        let mut headers = headers.into_iter().flatten();
        Ok(headers
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.clone()))
    }

    fn add_header(&self, map: HeaderMap, name: &str, value: &[u8]) -> Result<()> {
        let mut world = self.call("add_header")?;
        let headers = world.stream()?.maps.entry(map as u8).or_default();
        headers.push((name.to_owned(), value.to_vec()));
        Ok(())
    }

    fn remove_header(&self, map: HeaderMap, name: &str) -> Result<()> {
        let mut world = self.call("remove_header")?;
        let headers = world.stream()?.maps.entry(map as u8).or_default();
        headers.retain(|(other, _)| other != name);
        Ok(())
    }

    fn body(&self, of: BodyOf, most: usize) -> Result<Vec<u8>> {
        let mut world = self.call("body")?;
        let body = match of {
            BodyOf::Request => &world.stream()?.held,
            BodyOf::Response => &world.stream()?.response,
            BodyOf::CallResponse => &world.answer.1,
        };
        Ok(body[..most.min(body.len())].to_vec())
    }

    fn replace_response_body(&self, bytes: usize, with: &[u8]) -> Result<()> {
        let mut world = self.call("replace_response_body")?;
        world
            .stream()?
            .response
            .splice(..bytes, with.iter().copied());
        Ok(())
    }

    fn property(&self, path: &[&str]) -> Option<Vec<u8>> {
        let mut world = self.call("property").ok()?;
        match path {
            ["plugin_vm_id"] => world.has_vm_id.then(|| b"mcp_auth".to_vec()),
            ["request", "total_size"] => Some(world.stream().ok()?.received.to_le_bytes().to_vec()),
            _ => None,
        }
    }

    fn set_state(&self, name: &str, value: &[u8]) -> Result<()> {
        let mut world = self.call("set_state")?;
        let value = String::from_utf8(value.to_vec()).unwrap();
        world.stream()?.state.insert(name.to_owned(), value);
        Ok(())
    }

    fn send(&self, reply: &Reply) -> Result<()> {
        let mut world = self.call("send")?;
        let stream = world.stream()?;
        assert!(stream.reply.is_none(), "a stream is answered twice");
        stream.reply = Some(reply.clone());
        world.settle();
        Ok(())
    }

    fn resume_request(&self) -> Result<()> {
        let mut world = self.call("resume_request")?;
        let stream = world.stream()?;
        if std::mem::take(&mut stream.trailers_wait) {
            let held = std::mem::take(&mut stream.held);
            stream.sent.extend(held);
        } else {
            assert!(stream.forwarded.is_none(), "a stream is resumed twice");
            stream.send_headers();
        }
        world.settle();
        Ok(())
    }

    fn keep_body_back(&self, stream: StreamId) -> Result<()> {
        let mut world = self.call("keep_body_back")?;
        assert_eq!(world.callback, Some(Context::Stream(stream)));
        world.stream()?.body_kept_back = true;
        Ok(())
    }

    fn act_for(&self, stream: StreamId) -> Result<()> {
        let mut world = self.call("act_for")?;
        assert!(
            world.streams.contains_key(&stream),
            "{stream:?} has ended: to act for it is to use it after it was freed"
        );
        world.about = Some(Context::Stream(stream));
        Ok(())
    }

    fn act_for_root(&self) -> Result<()> {
        self.call("act_for_root")?.about = Some(Context::Root);
        Ok(())
    }

    fn tick_every(&self, period: Duration) -> Result<()> {
        self.call("tick_every")?.tick = period;
        Ok(())
    }

    fn dispatch(&self, call: &HttpCall<'_>) -> Result<CallId> {
        let mut world = self.call("dispatch")?;
        assert_eq!(
            (world.callback, world.about),
            (Some(Context::Root), Some(Context::Root)),
            "a call of a stream's is lost with it"
        );
        let headers = call.headers.iter();
        world.calls.push(SentCall {
            cluster: call.cluster.to_owned(),
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        });
        Ok(CallId(u32::try_from(world.calls.len()).unwrap()))
    }

    fn read_shared(&self, key: &str) -> Option<SharedEntry> {
        let mut world = self.call("read_shared").ok()?;
        let first = SharedEntry {
            value: b"\n".to_vec(),
            version: 1,
        };
        Some(world.shared.entry(key.to_owned()).or_insert(first).clone())
    }

    fn write_shared(&self, key: &str, value: &[u8], version: u32) -> bool {
        let Ok(mut world) = self.call("write_shared") else {
            return false;
        };
        match world.shared.get_mut(key) {
            Some(entry) if entry.version == version => {
                entry.value = value.to_vec();
                entry.version += 1;
                true
            }
            Some(_) | None => false,
        }
    }

    fn define_metric(&self, kind: MetricKind, name: &str) -> Result<MetricId> {
        let mut world = self.call("define_metric")?;
        world.metrics.entry(name.to_owned()).or_insert((kind, 0));
        world.metric_names.push(name.to_owned());
        Ok(MetricId(u32::try_from(world.metric_names.len()).unwrap()))
    }

    fn add_to_metric(&self, metric: MetricId, offset: i64) -> Result<()> {
        let mut world = self.call("add_to_metric")?;
        world.metric(metric).1 += offset;
        Ok(())
    }

    fn set_metric(&self, metric: MetricId, value: u64) -> Result<()> {
        let mut world = self.call("set_metric")?;
        let (kind, of) = world.metric(metric);
        assert_eq!(*kind, MetricKind::Gauge);
        *of = i64::try_from(value).unwrap();
        Ok(())
    }

    fn verify_signature(&self, _: &HostCheck<'_>, _: &[u8]) -> Result<bool> {
        let world = self.call("verify_signature")?;
        if world.calls_all_signatures_good {
            Ok(true)
        } else {
            Err(HostError)
        }
    }
}

impl World {
    fn metric(&mut self, metric: MetricId) -> &mut (MetricKind, i64) {
        let name = &self.metric_names[metric.0 as usize - 1];
        self.metrics.get_mut(name).unwrap()
    }
}

impl StreamState {
    fn send_headers(&mut self) {
        let headers = self.maps.get(&(HeaderMap::Request as u8));
        self.forwarded = Some(Head::new(headers.cloned().unwrap_or_default()));
    }

    fn set(&mut self, map: HeaderMap, headers: &[(&str, &str)]) {
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()));
        self.maps.insert(map as u8, headers.collect());
    }

    /// The values of a header that was sent on.
    pub(super) fn values(&self, name: &str) -> Vec<String> {
        let head = self.forwarded.as_ref().expect("headers that were sent on");
        let values = head.values(name);
        values
            .map(|value| String::from_utf8(value.to_vec()).unwrap())
            .collect()
    }
}

/// A worker in a proxy.
pub(super) struct Proxy {
    pub(super) host: MemoryHost,
    pub(super) worker: Worker<MemoryHost>,
    streams: BTreeMap<StreamId, Stream>,
    /// `allow_on_headers_stop_iteration`.
    pub(super) delivers_bodies: bool,
    answered: usize,
}

impl Proxy {
    pub(super) fn new(json: &serde_json::Value) -> Self {
        Self::with(MemoryHost::default(), json)
    }

    pub(super) fn with(host: MemoryHost, json: &serde_json::Value) -> Self {
        host.world().now = NOW;
        host.enter(Context::Root);
        let worker = Worker::new(host.clone(), config(json));
        Self {
            host,
            worker,
            streams: BTreeMap::new(),
            delivers_bodies: true,
            answered: 0,
        }
    }

    pub(super) fn fail(&self, call: &'static str) {
        self.host.world().fails = Some(call);
    }

    /// A request's headers come.
    pub(super) fn request(&mut self, id: u32, headers: &[(&str, &str)], ends: bool) {
        let id = StreamId(id);
        let mut state = StreamState::default();
        state.set(HeaderMap::Request, headers);
        self.host.world().streams.insert(id, state);
        let stream = Stream::new(id);
        self.host.enter(Context::Stream(id));
        let action = self.worker.request_headers(&stream, ends);
        self.streams.insert(id, stream);
        let mut world = self.host.world();
        let state = world.streams.get_mut(&id).unwrap();
        if action == Action::Continue {
            assert!(state.reply.is_none(), "answered, and sent on");
            state.send_headers();
        }
    }

    /// A piece of a request's body comes, or its end.
    pub(super) fn body(&mut self, id: u32, piece: &[u8], ends: bool) {
        let (id, stream) = (StreamId(id), self.streams[&StreamId(id)].clone());
        let bytes = {
            let mut world = self.host.world();
            let state = world.streams.get_mut(&id).unwrap();
            if state.reply.is_some() {
                return;
            }
            state.received += u64::try_from(piece.len()).unwrap();
            state.held.extend_from_slice(piece);
            state.ended |= ends;
            if state.forwarded.is_none() && (!self.delivers_bodies || state.body_kept_back) {
                return;
            }
            state.held.len()
        };
        self.host.enter(Context::Stream(id));
        let action = self.worker.request_body(&stream, bytes, ends);
        self.go_on(id, action);
    }

    /// A request's trailers come, which end it.
    pub(super) fn trailers(&mut self, id: u32, trailers: &[(&str, &str)]) {
        let (id, stream) = (StreamId(id), self.streams[&StreamId(id)].clone());
        let state = |world: &mut World| {
            let state = world.streams.get_mut(&id).unwrap();
            state.set(HeaderMap::RequestTrailers, trailers);
        };
        state(&mut self.host.world());
        self.host.enter(Context::Stream(id));
        let action = self.worker.request_trailers(&stream);
        self.go_on(id, action);
        self.stream(id.0).trailers_wait = action == Action::Pause;
    }

    fn go_on(&mut self, id: StreamId, action: Action) {
        let mut world = self.host.world();
        let state = world.streams.get_mut(&id).unwrap();
        if action == Action::Continue {
            assert!(state.reply.is_none(), "answered, and sent on");
            if state.forwarded.is_none() {
                state.send_headers();
            }
            let held = std::mem::take(&mut state.held);
            state.sent.extend(held);
        }
    }

    /// Of a request's trailers, the names that are left.
    pub(super) fn trailer_names(&self, id: u32) -> Vec<String> {
        let world = self.host.world();
        let trailers = world.streams[&StreamId(id)]
            .maps
            .get(&(HeaderMap::RequestTrailers as u8));
        let trailers = trailers.into_iter().flatten();
        trailers.map(|(name, _)| name.clone()).collect()
    }

    /// A response's headers come.
    pub(super) fn response(&mut self, id: u32, headers: &[(&str, &str)]) {
        let (id, stream) = (StreamId(id), self.streams[&StreamId(id)].clone());
        let set = |world: &mut World| {
            let state = world.streams.get_mut(&id).unwrap();
            state.set(HeaderMap::Response, headers);
        };
        set(&mut self.host.world());
        self.host.enter(Context::Stream(id));
        self.worker.response_headers(&stream, false);
    }

    /// A piece of a response's body comes; what goes on.
    pub(super) fn response_body(&mut self, id: u32, piece: &[u8], ends: bool) -> Vec<u8> {
        let (id, stream) = (StreamId(id), self.streams[&StreamId(id)].clone());
        let bytes = {
            let mut world = self.host.world();
            let state = world.streams.get_mut(&id).unwrap();
            state.response.extend_from_slice(piece);
            state.response.len()
        };
        self.host.enter(Context::Stream(id));
        let action = self.worker.response_body(&stream, bytes, ends);
        let mut world = self.host.world();
        let state = world.streams.get_mut(&id).unwrap();
        if action == Action::Pause {
            return Vec::new();
        }
        std::mem::take(&mut state.response)
    }

    /// The names of a response's headers.
    pub(super) fn response_header_names(&self, id: u32) -> Vec<String> {
        let world = self.host.world();
        let headers = &world.streams[&StreamId(id)].maps[&(HeaderMap::Response as u8)];
        headers.iter().map(|(name, _)| name.clone()).collect()
    }

    /// A stream ends, for whatever reason.
    pub(super) fn end(&mut self, id: u32) {
        let stream = self.streams.remove(&StreamId(id)).unwrap();
        self.host.enter(Context::Stream(stream.id));
        self.worker.end(&stream);
        self.host.world().streams.remove(&stream.id);
    }

    /// The root's tick comes; the streams that it answered or resumed.
    pub(super) fn tick(&mut self) -> Vec<u32> {
        self.host.enter(Context::Root);
        self.host.world().settled.clear();
        self.worker.tick();
        self.flush_resumed();
        let settled = std::mem::take(&mut self.host.world().settled);
        settled.into_iter().map(|stream| stream.0).collect()
    }

    /// The bodies that were kept back from streams that go on now.
    fn flush_resumed(&mut self) {
        let resumed: Vec<StreamId> = {
            let world = self.host.world();
            let kept = world.streams.iter();
            kept.filter(|(_, state)| state.forwarded.is_some() && !state.held.is_empty())
                .map(|(id, _)| *id)
                .collect()
        };
        for id in resumed {
            let (bytes, ends) = {
                let state = &self.host.world().streams[&id];
                (state.held.len(), state.ended)
            };
            let stream = self.streams[&id].clone();
            self.host.enter(Context::Stream(id));
            let action = self.worker.request_body(&stream, bytes, ends);
            self.go_on(id, action);
        }
    }

    pub(super) fn pass(&self, time: Duration) {
        let mut world = self.host.world();
        world.now = world.now.saturating_add(time);
    }

    /// The oldest call that has no answer gets this one.
    pub(super) fn answer(&mut self, status: u16, body: &str) {
        self.answered += 1;
        let call = CallId(u32::try_from(self.answered).unwrap());
        {
            let mut world = self.host.world();
            assert!(world.calls.len() >= self.answered, "no call is open");
            let headers = vec![(":status".to_owned(), status.to_string().into_bytes())];
            world.answer = (headers, body.as_bytes().to_vec());
        }
        self.host.enter(Context::Root);
        self.worker.call_response(call, 1, body.len());
    }

    /// Calls that have no answer.
    pub(super) fn open_calls(&self) -> usize {
        self.host.world().calls.len() - self.answered
    }

    pub(super) fn stream(&self, id: u32) -> RefMut<'_, StreamState> {
        RefMut::map(self.host.world(), |world| {
            world.streams.get_mut(&StreamId(id)).unwrap()
        })
    }

    /// The status and the reason of a stream's refusal.
    pub(super) fn refusal(&self, id: u32) -> (u16, String) {
        let stream = self.stream(id);
        let reply = stream.reply.as_ref().expect("an answer");
        assert!(stream.forwarded.is_none() || stream.sent.is_empty());
        let reason = stream.state.get("mcp_auth_reason");
        (reply.status, reason.cloned().unwrap_or_default())
    }

    /// The mark of a request that was sent on.
    pub(super) fn mark(&self, id: u32) -> String {
        let stream = self.stream(id);
        assert!(stream.forwarded.is_some(), "{id} was not sent on");
        assert!(stream.reply.is_none(), "{id} was answered");
        stream.state["mcp_auth"].clone()
    }

    /// Neither sent on nor answered.
    pub(super) fn is_paused(&self, id: u32) -> bool {
        let stream = self.stream(id);
        stream.forwarded.is_none() && stream.reply.is_none()
    }

    pub(super) fn metric(&self, name: &str) -> i64 {
        let world = self.host.world();
        world.metrics.get(name).map_or(0, |(_, value)| *value)
    }
}

impl MemoryHost {
    fn enter(&self, context: Context) {
        let mut world = self.world();
        world.callback = Some(context);
        world.about = Some(context);
    }
}
