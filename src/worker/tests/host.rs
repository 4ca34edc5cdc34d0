//! A host in memory: streams with their headers, bodies and filter state,
//! calls, shared data, metrics, a clock.

#![allow(clippy::arithmetic_side_effects)]

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::super::host::{
    BodyOf, CallId, HeaderMap, Host, HostError, HttpCall, MetricId, MetricKind, Result,
};
use crate::gate::reply::Reply;
use crate::head::Head;
use crate::ids::StreamId;
use crate::jose::signature::host::HostCheck;
use crate::keys::SharedEntry;
use crate::time::UnixNanos;

pub(super) type Headers = Vec<(String, Vec<u8>)>;

/// Whose callback runs, or whom calls are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    Root,
    Stream(StreamId),
}

/// What the host has of a stream.
#[derive(Default)]
pub(super) struct StreamState {
    pub(super) maps: BTreeMap<u8, Headers>,
    /// Of its request, what has come and did not go on.
    pub(super) held: Vec<u8>,
    /// How much of its request has come.
    pub(super) received: u64,
    /// Of its response, what has come and did not go on.
    pub(super) response: Vec<u8>,
    pub(super) state: BTreeMap<String, String>,
    pub(super) reply: Option<Reply>,
    /// The headers that were sent on.
    pub(super) forwarded: Option<Head>,
    /// The body that was sent on.
    pub(super) sent: Vec<u8>,
    pub(super) ended: bool,
    pub(super) body_kept_back: bool,
    /// Its trailers wait to be resumed.
    pub(super) trailers_wait: bool,
}

pub(super) struct SentCall {
    pub(super) cluster: String,
    pub(super) headers: Vec<(String, String)>,
}

#[derive(Default)]
pub(super) struct World {
    pub(super) now: UnixNanos,
    pub(super) randoms: u64,
    pub(super) callback: Option<Context>,
    pub(super) about: Option<Context>,
    pub(super) streams: BTreeMap<StreamId, StreamState>,
    pub(super) calls: Vec<SentCall>,
    pub(super) answer: (Headers, Vec<u8>),
    pub(super) shared: BTreeMap<String, SharedEntry>,
    pub(super) metrics: BTreeMap<String, (MetricKind, i64)>,
    pub(super) metric_names: Vec<String>,
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
    pub(super) fn send_headers(&mut self) {
        let headers = self.maps.get(&(HeaderMap::Request as u8));
        self.forwarded = Some(Head::new(headers.cloned().unwrap_or_default()));
    }

    pub(super) fn set(&mut self, map: HeaderMap, headers: &[(&str, &str)]) {
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

impl MemoryHost {
    pub(super) fn enter(&self, context: Context) {
        let mut world = self.world();
        world.callback = Some(context);
        world.about = Some(context);
    }
}
