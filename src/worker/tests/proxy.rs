//! A proxy around a worker: its streams, their bodies and trailers, ticks, answers to its calls.

#![allow(clippy::arithmetic_side_effects)]

use std::cell::RefMut;
use std::collections::BTreeMap;
use std::time::Duration;

use super::super::host::{CallId, HeaderMap};
use super::super::{Action, Stream, Worker};
use super::host::{Context, MemoryHost, StreamState, World};
use super::{NOW, config};
use crate::ids::StreamId;

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
