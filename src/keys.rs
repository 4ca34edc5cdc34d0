//! The issuers' keys: fetched, kept fresh, and given out, without I/O and without a clock.
//!
//! [`Keys`] has four kinds of methods: [`Keys::find`] answers for one token; the `handle_*` take
//! in what happened; [`Keys::next_command`] says what to do next; [`Keys::poll_timeout`] says
//! when to call [`Keys::handle_tick`] at the latest.

pub(crate) mod backoff;
mod command;
pub mod discovery;
pub(crate) mod fetch_error;
mod found;
mod freshness;
mod issuer;
mod mirror;
mod refused;
pub(crate) mod shared;
mod sharing;
mod source;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::ids::{ByIssuer, IssuerId};
use crate::jose::jwk::{KeyId, KeySet, Lookup};
use crate::jose::signature::Algorithm;
use crate::reason::Reason;
use crate::time::UnixNanos;

use command::Outbox;
use issuer::RemoteIssuer;
use mirror::Mirror;
use shared::Subject;

pub use command::{Command, Event, Fetch, FetchId, FetchOutcome, MAX_RESPONSE_BYTES};
pub use fetch_error::FetchError;
pub use found::{Doubt, Found, Mirrored};
pub use issuer::KeyStatus;
pub use shared::{EntryId, SharedEntry};
pub use source::{KeySource, KeyTimings, RemoteKeys, Source};

/// The keys of every issuer of a configuration.
#[derive(Debug)]
pub struct Keys {
    issuers: ByIssuer<Issuer>,
    commands: VecDeque<Command>,
    next_fetch: u64,
}

#[derive(Debug)]
struct Issuer {
    keys: IssuerKeys,
    /// The copy of its metadata, where that is served on the resources' hosts.
    mirror: Option<Mirror>,
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
        let issuers = sources.into_iter().zip(0_u64..).map(|(source, at)| {
            let remote = match source.keys {
                KeySource::Inline(set) => return Issuer::inline(set),
                KeySource::Remote(remote) => remote,
            };
            let mirrors = source.mirrors_metadata;
            let mirror = mirrors.then(|| Mirror::new(remote.clone(), now, seed, shares));
            let seed = seed.wrapping_add(at);
            let keys = RemoteIssuer::new(remote.clone(), now, seed, shares);
            Issuer {
                keys: IssuerKeys::Remote(Box::new(keys)),
                mirror,
            }
        });
        Self {
            issuers: issuers.collect(),
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
        match self.keys_of(issuer) {
            Some(IssuerKeys::Inline(set)) => in_set(set, kid, alg),
            Some(IssuerKeys::Remote(remote)) => remote.find(kid, alg, arrived, now),
            None => Found::Refused(Reason::Internal),
        }
    }

    /// Returns whether a token that `key` of `issuer` verified may still be taken for verified: the key has
    /// not left the set, and the set is not too old.
    pub fn trusts(&mut self, issuer: IssuerId, key: KeyId, now: UnixNanos) -> bool {
        match self.keys_of(issuer) {
            Some(IssuerKeys::Remote(remote)) => remote.trusts(key, now),
            Some(IssuerKeys::Inline(_)) => true,
            None => false,
        }
    }

    /// A number that changes whenever a key of `issuer` comes or goes.
    pub fn generation(&self, issuer: IssuerId) -> u64 {
        match self.issuers.get(issuer).map(|issuer| &issuer.keys) {
            Some(IssuerKeys::Remote(remote)) => remote.generation(),
            Some(IssuerKeys::Inline(_)) | None => 0,
        }
    }

    /// Returns whether a token that no key of `issuer` had signed at a [`generation`](Self::generation) may
    /// still be taken for forged: no key has come or gone, and the set is not too old.
    pub fn is_unchanged(&mut self, issuer: IssuerId, generation: u64, now: UnixNanos) -> bool {
        match self.keys_of(issuer) {
            Some(IssuerKeys::Remote(remote)) => remote.is_unchanged(generation, now),
            Some(IssuerKeys::Inline(_)) => true,
            None => false,
        }
    }

    /// A token that was first seen at `since` is by none of the keys that fit it. Perhaps a key was
    /// replaced, under its old `kid` too: that asks for a refresh as an unknown key does, and at most
    /// one per cooldown for both together.
    pub fn doubt(&mut self, issuer: IssuerId, since: UnixNanos, now: UnixNanos) -> Doubt {
        match self.keys_of(issuer) {
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
        match fetch.entry.subject {
            Subject::Keys => self.remote(fetch.entry.issuer, |remote, outbox| {
                if remote.waits_for(fetch) {
                    remote.handle_response(outcome, now, outbox);
                }
            }),
            Subject::Metadata => self.mirror(fetch.entry.issuer, |mirror, outbox| {
                if mirror.waits_for(fetch) {
                    mirror.handle_response(outcome, now, outbox);
                }
            }),
        }
    }

    /// The metadata that an issuer publishes of itself (RFC 8414), where it is mirrored.
    pub fn issuer_metadata(&mut self, issuer: IssuerId, now: UnixNanos) -> Mirrored<'_> {
        let issuer = self.issuers.get_mut(issuer);
        let Some(mirror) = issuer.and_then(|issuer| issuer.mirror.as_mut()) else {
            return Mirrored::Unavailable;
        };
        if mirror.document().is_none() && mirror.is_coming(now) {
            return Mirrored::Wait;
        }
        mirror
            .document()
            .map_or(Mirrored::Unavailable, Mirrored::Document)
    }

    /// [`Command::ReadShared`] was carried out; `found` is `None` where the host cannot share
    /// anything.
    pub fn handle_shared(&mut self, entry: EntryId, found: Option<SharedEntry>, now: UnixNanos) {
        match entry.subject {
            Subject::Keys => self.remote(entry.issuer, |remote, outbox| {
                remote.handle_shared(found, now, outbox);
            }),
            Subject::Metadata => self.mirror(entry.issuer, |mirror, outbox| {
                mirror.handle_shared(found, now, outbox);
            }),
        }
    }

    /// [`Command::WriteShared`] was carried out, if it found the version that it expected.
    pub fn handle_shared_written(&mut self, entry: EntryId, written: bool, now: UnixNanos) {
        match entry.subject {
            Subject::Keys => self.remote(entry.issuer, |remote, outbox| {
                remote.handle_shared_written(written, now, outbox);
            }),
            Subject::Metadata => self.mirror(entry.issuer, |mirror, outbox| {
                mirror.handle_shared_written(written, now, outbox);
            }),
        }
    }

    /// This worker's configuration is no longer used: others must not wait for what it has begun.
    pub fn handle_shutdown(&mut self) {
        self.each_remote(|remote, outbox| remote.handle_shutdown(outbox));
        self.each_mirror(|mirror, outbox| mirror.handle_shutdown(outbox));
    }

    /// The state of each issuer's fetched keys.
    pub fn status(&self, now: UnixNanos) -> impl Iterator<Item = (IssuerId, KeyStatus)> {
        let remotes = self.issuers.iter();
        remotes.filter_map(move |(id, issuer)| Some((id, issuer.remote()?.status(now))))
    }

    fn keys_of(&mut self, id: IssuerId) -> Option<&mut IssuerKeys> {
        self.issuers.get_mut(id).map(|issuer| &mut issuer.keys)
    }

    fn each_remote(&mut self, act: impl Fn(&mut RemoteIssuer, &mut Outbox<'_>)) {
        for id in self.issuers.ids() {
            self.remote(id, &act);
        }
    }

    fn each_mirror(&mut self, act: impl Fn(&mut Mirror, &mut Outbox<'_>)) {
        for id in self.issuers.ids() {
            self.mirror(id, &act);
        }
    }

    /// Has the keys of an issuer do something, if they are fetched.
    fn remote(&mut self, issuer: IssuerId, act: impl FnOnce(&mut RemoteIssuer, &mut Outbox<'_>)) {
        let Some(Issuer {
            keys: IssuerKeys::Remote(remote),
            ..
        }) = self.issuers.get_mut(issuer)
        else {
            return;
        };
        let mut outbox = Outbox {
            commands: &mut self.commands,
            next_fetch: &mut self.next_fetch,
            entry: EntryId {
                issuer,
                subject: Subject::Keys,
            },
        };
        act(remote, &mut outbox);
    }

    /// Has the copy of an issuer's metadata do something, if there is to be one.
    fn mirror(&mut self, issuer: IssuerId, act: impl FnOnce(&mut Mirror, &mut Outbox<'_>)) {
        let Some(Issuer {
            mirror: Some(mirror),
            ..
        }) = self.issuers.get_mut(issuer)
        else {
            return;
        };
        let mut outbox = Outbox {
            commands: &mut self.commands,
            next_fetch: &mut self.next_fetch,
            entry: EntryId {
                issuer,
                subject: Subject::Metadata,
            },
        };
        act(mirror, &mut outbox);
    }

    /// The next thing to do, until it is `None`.
    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When to call [`Keys::handle_tick`] at the latest; `None` if never.
    pub fn poll_timeout(&self) -> Option<UnixNanos> {
        let timeouts = self.issuers.iter().flat_map(|(_, issuer)| {
            let mirror = issuer.mirror.as_ref().map(Mirror::poll_timeout);
            let keys = issuer.remote().map(RemoteIssuer::poll_timeout);
            keys.into_iter().chain(mirror)
        });
        timeouts.min()
    }
}

impl Issuer {
    fn inline(set: &KeySet) -> Self {
        Self {
            keys: IssuerKeys::Inline(set.clone()),
            mirror: None,
        }
    }

    fn remote(&self) -> Option<&RemoteIssuer> {
        match &self.keys {
            IssuerKeys::Inline(_) => None,
            IssuerKeys::Remote(remote) => Some(remote),
        }
    }
}

fn in_set<'a>(set: &'a KeySet, kid: Option<&str>, alg: Algorithm) -> Found<'a> {
    match set.lookup(kid, alg) {
        Lookup::Fitting(keys) => Found::Keys(keys),
        Lookup::Mismatch => Found::Refused(Reason::KeyMismatch),
        Lookup::Unknown => Found::Refused(Reason::KeyUnknown),
    }
}
