//! The entry in which the workers of one Envoy tell each other about an issuer: its keys or its mirrored metadata,
//! and who fetches them.
//!
//! One entry of the host's shared data for each of the two, changed by compare-and-swap alone. Other
//! plugins may be able to write there: what is read is untrusted input, and is taken over only if
//! it is bound to the very same issuer, location and timings, and only as far as it is plausible.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::MAX_RESPONSE_BYTES;
use crate::ids::IssuerId;
use crate::keys::RemoteKeys;
use crate::time::UnixNanos;

/// The time between two looks of a worker while another one fetches, or asks.
pub(crate) const FOLLOW: Duration = Duration::from_millis(5);
/// The most tries of a worker to write what came of a fetch or a question, while others write too.
pub(crate) const MOST_TRIES: u8 = 8;
/// The most entries of a kind: the host never frees the name of one.
const SLOTS: u64 = 4096;
/// The most slots that are looked at for one that is not another issuer's.
const MOST_PROBES: u64 = 4;
/// The longest head of an entry, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The most by which another worker's reading of the clock may be ahead of this one's.
pub(crate) const CLOCK_TOLERANCE: Duration = Duration::from_secs(1);

/// An entry of the host's shared data, with its version for compare-and-swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedEntry {
    /// The value that some worker wrote.
    pub value: Vec<u8>,
    /// Its version.
    pub version: u32,
}

/// One entry of one issuer: [`super::Command`]s name it, and their results are handed back with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryId {
    pub(super) issuer: IssuerId,
    pub(super) subject: Subject,
}

/// The document that an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Keys,
    Metadata,
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Metadata => "metadata",
        }
    }
}

/// The head of an entry. The document follows it, byte for byte as it was fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The issuer and configuration that this is about: see [`Place`].
    binding: String,
    /// The worker that is fetching.
    pub(super) lease: Option<Lease>,
    /// When an unknown key last caused a fetch.
    pub(super) asked_at: Option<UnixNanos>,
    /// That the last fetch failed.
    pub(super) failure: Option<Failure>,
    /// The place where discovery found the key set.
    pub(super) location: Option<FoundAt>,
    /// When and for how long the document was fetched.
    pub(super) fetched: Option<Freshness>,
}

/// A worker fetches: the others wait for it, but not for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lease {
    pub(super) owner: u64,
    pub(super) until: UnixNanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failure {
    /// Failed attempts in a row.
    pub(super) count: u32,
    /// When the last one failed.
    pub(super) at: UnixNanos,
    pub(super) retry_at: UnixNanos,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FoundAt {
    pub(super) jwks_uri: String,
    pub(super) until: UnixNanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Freshness {
    /// When the request for it was sent.
    pub(super) begun: UnixNanos,
    pub(super) at: UnixNanos,
    pub(super) refresh: Duration,
}

/// The longest plausible times from now on.
#[derive(Clone, Copy, Debug)]
pub(super) struct LongestTimes {
    pub(super) lease: Duration,
    pub(super) retry: Duration,
    pub(super) location: Duration,
}

/// The place of an entry of one issuer, and what it must be bound to.
#[derive(Debug)]
pub(super) struct Place {
    subject: Subject,
    slot: u64,
    probes: u64,
    key: String,
    binding: String,
}

impl Place {
    pub(super) fn of(subject: Subject, config: &RemoteKeys) -> Self {
        // All of it, so that whatever becomes part of it binds too; `Debug` escapes and delimits.
        let binding = format!("1 {} {config:?}", subject.name());
        let mut hasher = DefaultHasher::new();
        binding.hash(&mut hasher);
        let mut place = Self {
            subject,
            slot: hasher.finish(),
            probes: 0,
            key: String::new(),
            binding,
        };
        place.name();
        place
    }

    /// Goes on to the next slot, if there is one to try.
    fn probe_next(&mut self) -> bool {
        self.probes = self.probes.saturating_add(1);
        let more = self.probes < MOST_PROBES;
        if !more {
            // Taken by others wherever one looks: the first is as good as any.
            self.probes = 0;
        }
        self.name();
        more
    }

    fn name(&mut self) {
        let slot = self.slot.wrapping_add(self.probes);
        let slot = slot.checked_rem(SLOTS).unwrap_or_default();
        self.key = format!("mcp_auth.{}.{slot}", self.subject.name());
    }

    /// The name of the entry.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// An empty record for this issuer.
    fn blank(&self) -> Record {
        Record {
            binding: self.binding.clone(),
            ..Record::default()
        }
    }

    /// The head of an entry, and the document in it. What is not plausible is as good as not there.
    /// `None` if the entry is for another issuer, or another configuration of this one: then
    /// [`key`](Self::key) is the next to look at.
    pub(super) fn read<'a>(
        &mut self,
        value: &'a [u8],
        now: UnixNanos,
        longest: LongestTimes,
    ) -> Option<(Record, &'a [u8])> {
        let Some((head, body)) = split(value, MAX_HEAD_BYTES, MAX_RESPONSE_BYTES) else {
            return Some((self.blank(), &[]));
        };
        let Ok(mut record) = serde_json::from_slice::<Record>(head) else {
            return Some((self.blank(), &[]));
        };
        if record.binding != self.binding {
            // With nowhere else to look, the first slot is this issuer's from now on.
            return (!self.probe_next()).then(|| (self.blank(), &[][..]));
        }
        let ahead = now.saturating_add(CLOCK_TOLERANCE);
        let by = |bound: Duration| ahead.saturating_add(bound);
        record.lease.take_if(|it| it.until > by(longest.lease));
        record.asked_at.take_if(|at| *at > ahead);
        record
            .failure
            .take_if(|it| it.retry_at > by(longest.retry) || it.at > ahead);
        record
            .location
            .take_if(|it| it.until > by(longest.location));
        record
            .fetched
            .take_if(|it| it.at > ahead || it.begun > it.at);
        Some((record, body))
    }
}

impl Record {
    /// The entry: head, newline, document. `None` if it cannot be written, which no input causes.
    pub(super) fn write(&self, body: &[u8]) -> Option<Vec<u8>> {
        let mut value = serde_json::to_vec(self).ok()?;
        value.push(b'\n');
        value.extend_from_slice(body);
        Some(value)
    }
}

/// The head of an entry, and the document behind it, if neither is longer than this.
pub(crate) fn split(value: &[u8], max_head: usize, max_body: usize) -> Option<(&[u8], &[u8])> {
    let end = value.iter().take(max_head).position(|b| *b == b'\n')?;
    let (head, rest) = value.split_at_checked(end)?;
    let body = rest.strip_prefix(b"\n")?;
    (body.len() <= max_body).then_some((head, body))
}
