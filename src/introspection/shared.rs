//! The entry in which the workers of one Envoy tell each other of a token: which of them asks about
//! it, and what the issuer said.
//!
//! A token has one place in the host's shared data, named by a hash of the token and of all that is
//! configured about the issuer. The host never frees the name of an entry, so there are [`SLOTS`] of
//! them. Whose token has a slot keeps it until its time is over: a flood of tokens cannot push out
//! answers that hold. Without a slot, each worker asks by itself.
//!
//! Other plugins may be able to write there: what is read is untrusted input, and is parsed as an
//! issuer's answer is.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::digest::TokenDigest;
use crate::keys::shared::{self, CLOCK_TOLERANCE};
use crate::time::UnixNanos;

/// The longest answer that is shared, in bytes.
const MAX_ANSWER_BYTES: usize = 4096;
/// The most entries.
const SLOTS: u64 = 4096;
/// The longest head of an entry, in bytes.
const MAX_HEAD_BYTES: usize = 256;
/// The longest time for which a slot is left to another token: no answer holds longer.
const LONGEST: Duration = Duration::from_secs(3600);

/// The head of an entry. The answer follows it, byte for byte as it came.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    /// The token and configuration that it is for: see [`Place`].
    name: String,
    /// Until when the slot is this token's.
    until: UnixNanos,
    state: State,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// This worker asks.
    Asked(u64),
    /// The issuer called the token active then.
    Active(UnixNanos),
}

/// The content of a slot, to one worker with one token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// Nothing that still holds.
    Free,
    /// This worker has said that it asks.
    Mine,
    /// Another worker asks.
    Asked,
    /// The issuer has called the token active, in this answer.
    Active {
        /// The answer, as it came.
        body: &'a [u8],
        /// When it came.
        at: UnixNanos,
    },
    /// It is another token's.
    Taken,
}

/// The place of one token of one issuer.
#[derive(Debug)]
pub(super) struct Place {
    name: String,
    key: String,
}

impl Place {
    /// The `binding` is all that is configured about the issuer.
    pub(super) fn of(binding: &str, token: &TokenDigest) -> Self {
        let name = token.bound_to(binding);
        let slot = name
            .first_chunk()
            .map_or(0, |part| u64::from_be_bytes(*part));
        let slot = slot.checked_rem(SLOTS).unwrap_or_default();
        Self {
            name: URL_SAFE_NO_PAD.encode(name),
            key: format!("mcp_auth.introspection.{slot}"),
        }
    }

    /// The name of the slot.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The entry that says that this `worker` asks, until then at the latest.
    pub(super) fn asked(&self, worker: u64, until: UnixNanos) -> Option<Vec<u8>> {
        self.write(until, State::Asked(worker), &[])
    }

    /// The entry with an answer; `None` for one that is too long to be shared.
    pub(super) fn active(&self, body: &[u8], at: UnixNanos, until: UnixNanos) -> Option<Vec<u8>> {
        let is_short = body.len() <= MAX_ANSWER_BYTES;
        is_short.then(|| self.write(until, State::Active(at), body))?
    }

    fn write(&self, until: UnixNanos, state: State, body: &[u8]) -> Option<Vec<u8>> {
        let head = Head {
            name: self.name.clone(),
            until,
            state,
        };
        let mut value = serde_json::to_vec(&head).ok()?;
        value.push(b'\n');
        value.extend_from_slice(body);
        Some(value)
    }

    /// The content of the slot. What is not plausible is as good as not there: a question takes
    /// `longest` at most.
    pub(super) fn read<'a>(
        &self,
        value: &'a [u8],
        worker: u64,
        longest: Duration,
        now: UnixNanos,
    ) -> Found<'a> {
        let Some((head, body)) = split(value) else {
            return Found::Free;
        };
        let ahead = now.saturating_add(CLOCK_TOLERANCE);
        let holds = |most| now < head.until && head.until <= ahead.saturating_add(most);
        if head.name != self.name {
            return if holds(LONGEST) {
                Found::Taken
            } else {
                Found::Free
            };
        }
        match head.state {
            State::Asked(owner) if owner == worker => Found::Mine,
            State::Asked(_) if holds(longest) => Found::Asked,
            State::Active(at) if holds(LONGEST) && at <= ahead => Found::Active {
                body,
                at: at.min(now),
            },
            State::Asked(_) | State::Active(_) => Found::Free,
        }
    }
}

fn split(value: &[u8]) -> Option<(Head, &[u8])> {
    let (head, body) = shared::split(value, MAX_HEAD_BYTES, MAX_ANSWER_BYTES)?;
    Some((serde_json::from_slice(head).ok()?, body))
}
