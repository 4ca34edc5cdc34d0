//! Commands: the things that the keys want done, and the answers to them.

use std::collections::VecDeque;
use std::time::Duration;

use super::fetch_error::FetchError;
use super::shared::EntryId;
use crate::ids::IssuerId;
use crate::jose::jwk::SkippedKey;
use crate::url::HttpUrl;

/// The longest answer of a key server that is looked at, in bytes. Envoy's own bound is 32 MiB.
pub const MAX_RESPONSE_BYTES: usize = 512 * 1024;

/// One fetch, from its command to its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchId {
    /// The document that is fetched.
    pub(super) entry: EntryId,
    number: u64,
}

/// A GET that the filter's owner is to send through Envoy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// To be handed back with the response.
    pub id: FetchId,
    /// On whose behalf.
    pub issuer: IssuerId,
    /// The Envoy cluster to call.
    pub cluster: String,
    /// The URL to get: its authority, path and query go into the request.
    pub url: HttpUrl,
    /// After which Envoy gives up.
    pub timeout: Duration,
}

/// The end of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchOutcome {
    /// A whole response.
    Response {
        /// Its `:status`; Envoy answers 503 and 504 itself where the server cannot be reached.
        status: u16,
        /// Its `cache-control`; empty if it has none.
        cache_control: Vec<u8>,
        /// Its body, which is at most [`MAX_RESPONSE_BYTES`] long.
        body: Vec<u8>,
    },
    /// The response was longer than [`MAX_RESPONSE_BYTES`].
    TooLarge,
    /// The connection was reset, or the call could not be made at all.
    Failed,
}

/// A thing to do next. Each is carried out once, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send this.
    Fetch(Fetch),
    /// Read an entry of the host's shared data, and hand it to [`super::Keys::handle_shared`].
    ReadShared {
        /// To be handed back with what came of it.
        entry: EntryId,
        /// The entry's name.
        key: String,
    },
    /// Write an entry of the host's shared data if it still has this version, and say to
    /// [`super::Keys::handle_shared_written`] whether it had.
    WriteShared {
        /// To be handed back with what came of it.
        entry: EntryId,
        /// The entry's name.
        key: String,
        /// The value to write.
        value: Vec<u8>,
        /// The version that was read.
        version: u32,
    },
    /// Judge the requests that wait for this issuer anew.
    Wake(IssuerId),
    /// Tell the operator.
    Report(IssuerId, Event),
}

/// News of an issuer's keys, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A key set was fetched and taken over.
    Refreshed {
        /// The number of usable keys in it.
        keys: usize,
        /// After which it is to be refreshed.
        refresh: Duration,
    },
    /// A key set that another worker had fetched was taken over.
    Adopted {
        /// The number of usable keys in it.
        keys: usize,
    },
    /// Keys that should have been refreshed were used.
    StaleUse {
        /// The number of verdicts since this was last told.
        verdicts: u64,
    },
    /// Something is wrong with a key of the set.
    KeySkipped(SkippedKey),
    /// The metadata that is to be mirrored could not be fetched; the next try is after `retry_in`.
    MetadataFailed {
        /// Why.
        error: FetchError,
        /// The URL that was asked, escaped and cut, without its query.
        url: String,
        /// The time until the next one.
        retry_in: Duration,
    },
    /// A fetch failed; the next is after `retry_in`.
    FetchFailed {
        /// Why: of several places that were asked, by the error that says most.
        error: FetchError,
        /// The URL that was asked, escaped and cut, without its query.
        url: String,
        /// The time until the next one.
        retry_in: Duration,
    },
}

/// The place where one issuer puts its commands.
pub(super) struct Outbox<'a> {
    pub(super) commands: &'a mut VecDeque<Command>,
    pub(super) next_fetch: &'a mut u64,
    /// The issuer, and the document that they are about.
    pub(super) entry: EntryId,
}

impl Outbox<'_> {
    pub(super) fn fetch(&mut self, cluster: &str, url: &HttpUrl, timeout: Duration) -> FetchId {
        let id = FetchId {
            entry: self.entry,
            number: *self.next_fetch,
        };
        *self.next_fetch = self.next_fetch.wrapping_add(1);
        self.commands.push_back(Command::Fetch(Fetch {
            id,
            issuer: self.entry.issuer,
            cluster: cluster.to_owned(),
            url: url.clone(),
            timeout,
        }));
        id
    }

    pub(super) fn read_shared(&mut self, key: &str) {
        self.commands.push_back(Command::ReadShared {
            entry: self.entry,
            key: key.to_owned(),
        });
    }

    pub(super) fn write_shared(&mut self, key: &str, value: Vec<u8>, version: u32) {
        self.commands.push_back(Command::WriteShared {
            entry: self.entry,
            key: key.to_owned(),
            value,
            version,
        });
    }

    pub(super) fn wake(&mut self) {
        self.commands.push_back(Command::Wake(self.entry.issuer));
    }

    pub(super) fn report(&mut self, event: Event) {
        let report = Command::Report(self.entry.issuer, event);
        self.commands.push_back(report);
    }
}
