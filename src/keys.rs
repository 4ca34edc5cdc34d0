//! The issuers' keys: fetched, kept fresh, and given out, without I/O and without a clock.
//!
//! [`Keys`] has four kinds of methods: [`Keys::find`] answers for one token; the `handle_*` take
//! in what happened; [`Keys::next_command`] says what to do next; [`Keys::poll_timeout`] says
//! when to call [`Keys::handle_tick`] at the latest.

pub(crate) mod backoff;
pub mod discovery;
pub(crate) mod fetch_error;
mod freshness;
mod issuer;
mod mirror;
mod refused;
mod shared;
mod source;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use crate::ids::IssuerId;
use crate::jose::signature::Algorithm;
use crate::reason::Reason;
use crate::time::UnixNanos;
use crate::url::HttpUrl;

use crate::jose::jwk::{KeyId, KeySet, Lookup, VerificationKey};
use issuer::RemoteIssuer;
use mirror::Mirror;
use shared::Subject;

pub use fetch_error::FetchError;
pub use issuer::KeyStatus;
pub use shared::{EntryId, SharedEntry};
pub use source::{KeySource, KeyTimings, RemoteKeys, Source};

/// The longest answer of a key server that is looked at, in bytes. Envoy's own bound is 32 MiB.
pub const MAX_RESPONSE_BYTES: usize = 512 * 1024;

/// One fetch, from its command to its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FetchId(u64);

/// A GET that the filter's owner is to send through Envoy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// To be handed back with the response.
    pub id: FetchId,
    /// On whose behalf.
    pub issuer: IssuerId,
    /// The Envoy cluster to call.
    pub cluster: String,
    /// What to get: its authority, path and query go into the request.
    pub url: HttpUrl,
    /// After which Envoy gives up.
    pub timeout: Duration,
}

/// What came of a fetch.
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

/// What to do next. Each is carried out once, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send this.
    Fetch(Fetch),
    /// Read an entry of the host's shared data, and hand it to [`Keys::handle_shared`].
    ReadShared {
        /// To be handed back with what came of it.
        entry: EntryId,
        /// The entry's name.
        key: String,
    },
    /// Write an entry of the host's shared data if it still has this version, and say to
    /// [`Keys::handle_shared_written`] whether it had.
    WriteShared {
        /// To be handed back with what came of it.
        entry: EntryId,
        /// The entry's name.
        key: String,
        /// What to write.
        value: Vec<u8>,
        /// The version that was read.
        version: u32,
    },
    /// Judge the requests that wait for this issuer anew.
    Wake(IssuerId),
    /// Tell the operator.
    Report(IssuerId, Event),
}

/// What an operator is told of an issuer's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A key set was fetched and taken over.
    Refreshed {
        /// How many usable keys it has.
        keys: usize,
        /// After which it is to be refreshed.
        refresh: Duration,
    },
    /// A key set that another worker had fetched was taken over.
    Adopted {
        /// How many usable keys it has.
        keys: usize,
    },
    /// Keys that should have been refreshed were used.
    StaleUse {
        /// How often since this was last told.
        verdicts: u64,
    },
    /// Something is wrong with a key of the set.
    KeySkipped(crate::jose::jwk::SkippedKey),
    /// The metadata that is to be mirrored could not be fetched; the next try is after `retry_in`.
    MetadataFailed {
        /// Why.
        error: FetchError,
        /// What was asked, escaped and cut, without its query.
        url: String,
        /// How long until the next one.
        retry_in: Duration,
    },
    /// A fetch failed; the next is after `retry_in`.
    FetchFailed {
        /// Why: of several places that were asked, by the error that says most.
        error: FetchError,
        /// What was asked, escaped and cut, without its query.
        url: String,
        /// How long until the next one.
        retry_in: Duration,
    },
}

/// What the issuer has for a token.
#[derive(Debug)]
pub enum Found<'a> {
    /// Keys that may have signed it.
    Keys(Vec<&'a VerificationKey>),
    /// A fetch is under way, or about to be: judge the request again when woken.
    Wait,
    /// The issuer does not have the key, and was asked recently enough.
    Refused(Reason),
    /// Nobody can tell for now.
    Unavailable {
        /// [`Reason::KeysUnavailable`], [`Reason::KeysStale`] or [`Reason::KeyPending`].
        reason: Reason,
        /// When it may be worth asking again.
        retry_after: Duration,
    },
}

/// What there is of an issuer's metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirrored<'a> {
    /// The last good document.
    Document(&'a [u8]),
    /// The first one is being fetched, or about to be: ask again when woken.
    Wait,
    /// It cannot be had for now.
    Unavailable,
}

/// What is known of a token that no key verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It is by no key of the issuer's: the set was asked for after the token was seen.
    Settled,
    /// A fetch is under way, or about to be: judge the request again when woken.
    Wait,
    /// Its key may be one that the issuer has had since, and nobody can tell for now.
    Unavailable {
        /// [`Reason::KeysUnavailable`] or [`Reason::KeyPending`].
        reason: Reason,
        /// When it may be worth asking again.
        retry_after: Duration,
    },
}

/// The keys of every issuer of a configuration.
#[derive(Debug)]
pub struct Keys {
    issuers: Vec<IssuerKeys>,
    mirrors: Vec<(IssuerId, Mirror)>,
    commands: VecDeque<Command>,
    next_fetch: u64,
}

#[derive(Debug)]
enum IssuerKeys {
    /// From the configuration: there is nothing to fetch.
    Inline(KeySet),
    Remote(Box<RemoteIssuer>),
}

impl Keys {
    /// Keys for a worker on its own; `sources` are the issuers', in the order of their ids. `seed`
    /// spreads the refreshes of several workers; it need not be secret.
    pub fn new<'c>(
        sources: impl IntoIterator<Item = Source<'c>>,
        now: UnixNanos,
        seed: u64,
    ) -> Self {
        Self::with(sources, now, seed, false)
    }

    /// Keys for one of several workers that share what they fetch. `worker` tells them apart.
    pub fn sharing<'c>(
        sources: impl IntoIterator<Item = Source<'c>>,
        now: UnixNanos,
        worker: u64,
    ) -> Self {
        Self::with(sources, now, worker, true)
    }

    fn with<'c>(
        sources: impl IntoIterator<Item = Source<'c>>,
        now: UnixNanos,
        seed: u64,
        shares: bool,
    ) -> Self {
        let mut issuers = Vec::new();
        let mut mirrors = Vec::new();
        for (at, source) in sources.into_iter().enumerate() {
            issuers.push(match source.keys {
                KeySource::Inline(set) => IssuerKeys::Inline(set.clone()),
                KeySource::Remote(remote) => {
                    if source.mirrors_metadata {
                        let mirror = Mirror::new(remote.clone(), now, seed, shares);
                        mirrors.push((IssuerId(at), mirror));
                    }
                    let seed = seed.wrapping_add(u64::try_from(at).unwrap_or_default());
                    let remote = RemoteIssuer::new(remote.clone(), now, seed, shares);
                    IssuerKeys::Remote(Box::new(remote))
                }
            });
        }
        Self {
            issuers,
            mirrors,
            commands: VecDeque::new(),
            next_fetch: 0,
        }
    }

    /// The keys of `issuer` that may have signed a token with this `kid` and `alg`.
    ///
    /// An unknown `kid` asks for one refresh, at most once per cooldown, whatever arrives. It is
    /// refused if the issuer was asked after the token had `arrived`.
    pub fn find<'a>(
        &'a mut self,
        issuer: IssuerId,
        kid: Option<&str>,
        alg: Algorithm,
        arrived: UnixNanos,
        now: UnixNanos,
    ) -> Found<'a> {
        match self.issuers.get_mut(issuer.0) {
            Some(IssuerKeys::Inline(set)) => in_set(set, kid, alg),
            Some(IssuerKeys::Remote(remote)) => remote.find(kid, alg, arrived, now),
            None => Found::Refused(Reason::Internal),
        }
    }

    /// Whether a token that `key` of `issuer` verified may still be taken for verified: the key has
    /// not left the set, and the set is not too old.
    pub fn vouch(&mut self, issuer: IssuerId, key: KeyId, now: UnixNanos) -> bool {
        match self.issuers.get_mut(issuer.0) {
            Some(IssuerKeys::Remote(remote)) => remote.vouch(key, now),
            Some(IssuerKeys::Inline(_)) => true,
            None => false,
        }
    }

    /// A number that changes whenever a key of `issuer` comes or goes.
    pub fn generation(&self, issuer: IssuerId) -> u64 {
        match self.issuers.get(issuer.0) {
            Some(IssuerKeys::Remote(remote)) => remote.generation(),
            Some(IssuerKeys::Inline(_)) | None => 0,
        }
    }

    /// Whether a token that no key of `issuer` had signed at a [`generation`](Self::generation) may
    /// still be taken for forged: no key has come or gone, and the set is not too old.
    pub fn disowns(&mut self, issuer: IssuerId, generation: u64, now: UnixNanos) -> bool {
        match self.issuers.get_mut(issuer.0) {
            Some(IssuerKeys::Remote(remote)) => remote.disowns(generation, now),
            Some(IssuerKeys::Inline(_)) => true,
            None => false,
        }
    }

    /// A token that was first seen at `since` is by none of the keys that fit it. Perhaps a key was
    /// replaced, under its old `kid` too: that asks for a refresh as an unknown key does, and at most
    /// one per cooldown for both together.
    pub fn doubt(&mut self, issuer: IssuerId, since: UnixNanos, now: UnixNanos) -> Doubt {
        match self.issuers.get_mut(issuer.0) {
            Some(IssuerKeys::Remote(remote)) => remote.doubt(since, now),
            Some(IssuerKeys::Inline(_)) | None => Doubt::Settled,
        }
    }

    /// Time has passed.
    pub fn handle_tick(&mut self, now: UnixNanos) {
        self.each_remote(|remote, outbox| remote.handle_tick(now, outbox));
        self.each_mirror(|mirror, outbox| mirror.handle_tick(now, outbox));
    }

    /// A fetch has ended. Late and repeated ends are ignored.
    pub fn handle_response(&mut self, fetch: FetchId, outcome: FetchOutcome, now: UnixNanos) {
        let mut outcome = Some(outcome);
        self.each_remote(|remote, outbox| {
            if remote.waits_for(fetch)
                && let Some(outcome) = outcome.take()
            {
                remote.handle_response(outcome, now, outbox);
            }
        });
        self.each_mirror(|mirror, outbox| {
            if mirror.waits_for(fetch)
                && let Some(outcome) = outcome.take()
            {
                mirror.handle_response(outcome, now, outbox);
            }
        });
    }

    /// What an issuer says of itself (RFC 8414), where it is mirrored.
    pub fn issuer_metadata(&mut self, issuer: IssuerId, now: UnixNanos) -> Mirrored<'_> {
        let mut mirrors = self.mirrors.iter_mut();
        let Some((_, mirror)) = mirrors.find(|(id, _)| *id == issuer) else {
            return Mirrored::Unavailable;
        };
        if mirror.document().is_none() && mirror.is_coming(now) {
            return Mirrored::Wait;
        }
        mirror
            .document()
            .map_or(Mirrored::Unavailable, Mirrored::Document)
    }

    /// What [`Command::ReadShared`] brought; `None` where the host cannot share anything.
    pub fn handle_shared(&mut self, id: EntryId, found: Option<SharedEntry>, now: UnixNanos) {
        let mut found = Some(found);
        match id.subject {
            Subject::Keys => self.each_remote(|remote, outbox| {
                if outbox.id == id.issuer
                    && let Some(found) = found.take()
                {
                    remote.handle_shared(found, now, outbox);
                }
            }),
            Subject::Metadata => self.each_mirror(|mirror, outbox| {
                if outbox.id == id.issuer
                    && let Some(found) = found.take()
                {
                    mirror.handle_shared(found, now, outbox);
                }
            }),
        }
    }

    /// Whether [`Command::WriteShared`] found the version that it expected.
    pub fn handle_shared_written(&mut self, id: EntryId, written: bool, now: UnixNanos) {
        match id.subject {
            Subject::Keys => self.each_remote(|remote, outbox| {
                if outbox.id == id.issuer {
                    remote.handle_shared_written(written, now, outbox);
                }
            }),
            Subject::Metadata => self.each_mirror(|mirror, outbox| {
                if outbox.id == id.issuer {
                    mirror.handle_shared_written(written, now, outbox);
                }
            }),
        }
    }

    /// This worker's configuration is no longer used: others must not wait for what it has begun.
    pub fn handle_shutdown(&mut self) {
        self.each_remote(|remote, outbox| remote.handle_shutdown(outbox));
        self.each_mirror(|mirror, outbox| mirror.handle_shutdown(outbox));
    }

    /// How each issuer's fetched keys are.
    pub fn status(&self, now: UnixNanos) -> impl Iterator<Item = (IssuerId, KeyStatus)> {
        self.issuers
            .iter()
            .enumerate()
            .filter_map(move |(at, issuer)| match issuer {
                IssuerKeys::Inline(_) => None,
                IssuerKeys::Remote(remote) => Some((IssuerId(at), remote.status(now))),
            })
    }

    fn each_mirror(&mut self, mut act: impl FnMut(&mut Mirror, &mut Outbox<'_>)) {
        for (id, mirror) in &mut self.mirrors {
            let mut outbox = Outbox {
                commands: &mut self.commands,
                next_fetch: &mut self.next_fetch,
                id: *id,
            };
            act(mirror, &mut outbox);
        }
    }

    fn each_remote(&mut self, mut act: impl FnMut(&mut RemoteIssuer, &mut Outbox<'_>)) {
        for (at, issuer) in self.issuers.iter_mut().enumerate() {
            if let IssuerKeys::Remote(remote) = issuer {
                let mut outbox = Outbox {
                    commands: &mut self.commands,
                    next_fetch: &mut self.next_fetch,
                    id: IssuerId(at),
                };
                act(remote, &mut outbox);
            }
        }
    }

    /// What to do next, until it is `None`.
    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When to call [`Keys::handle_tick`] at the latest; `None` if never.
    pub fn poll_timeout(&self) -> Option<UnixNanos> {
        self.issuers
            .iter()
            .filter_map(|issuer| match issuer {
                IssuerKeys::Inline(_) => None,
                IssuerKeys::Remote(remote) => Some(remote.poll_timeout()),
            })
            .chain(self.mirrors.iter().map(|(_, mirror)| mirror.poll_timeout()))
            .min()
    }
}

/// Where one issuer puts its commands.
struct Outbox<'a> {
    commands: &'a mut VecDeque<Command>,
    next_fetch: &'a mut u64,
    id: IssuerId,
}

impl Outbox<'_> {
    fn fetch(&mut self, cluster: &str, url: &HttpUrl, timeout: Duration) -> FetchId {
        let id = FetchId(*self.next_fetch);
        *self.next_fetch = self.next_fetch.wrapping_add(1);
        self.commands.push_back(Command::Fetch(Fetch {
            id,
            issuer: self.id,
            cluster: cluster.to_owned(),
            url: url.clone(),
            timeout,
        }));
        id
    }

    fn read_shared(&mut self, subject: Subject, key: &str) {
        self.commands.push_back(Command::ReadShared {
            entry: self.entry(subject),
            key: key.to_owned(),
        });
    }

    fn write_shared(&mut self, subject: Subject, key: &str, value: Vec<u8>, version: u32) {
        self.commands.push_back(Command::WriteShared {
            entry: self.entry(subject),
            key: key.to_owned(),
            value,
            version,
        });
    }

    fn entry(&self, subject: Subject) -> EntryId {
        EntryId {
            issuer: self.id,
            subject,
        }
    }

    fn wake(&mut self) {
        self.commands.push_back(Command::Wake(self.id));
    }

    fn report(&mut self, event: Event) {
        self.commands.push_back(Command::Report(self.id, event));
    }
}

fn in_set<'a>(set: &'a KeySet, kid: Option<&str>, alg: Algorithm) -> Found<'a> {
    match set.lookup(kid, alg) {
        Lookup::Fitting(keys) => Found::Keys(keys),
        Lookup::Mismatch => Found::Refused(Reason::KeyMismatch),
        Lookup::Unknown => Found::Refused(Reason::KeyUnknown),
    }
}
