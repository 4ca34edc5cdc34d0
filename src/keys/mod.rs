//! The issuers' keys: fetched, kept fresh, and given out, without I/O and without a clock.
//!
//! [`Keys`] has four kinds of methods: [`Keys::find`] answers for one token; the `handle_*` take
//! in what happened; [`Keys::next_command`] says what to do next; [`Keys::poll_timeout`] says
//! when to call [`Keys::handle_tick`] at the latest.

pub mod discovery;
mod issuer;
pub mod jwk;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::{Config, IssuerId, KeySource};
use crate::reason::Reason;
use crate::time::UnixNanos;
use crate::token::signature::Algorithm;
use crate::url::HttpUrl;

use issuer::RemoteIssuer;
use jwk::{KeySet, Lookup, VerificationKey};

pub use issuer::FetchError;

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
    /// Judge the requests that wait for this issuer anew.
    Wake(IssuerId),
    /// Tell the operator.
    Report(IssuerId, Event),
}

/// What an operator is told of an issuer's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A key set was taken over.
    Refreshed {
        /// How many keys it has.
        keys: usize,
    },
    /// A key of the set cannot be used.
    KeySkipped(jwk::SkippedKey),
    /// A fetch failed; the next is after `retry_in`.
    FetchFailed {
        /// Why.
        error: FetchError,
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
        /// [`Reason::KeysUnavailable`] or [`Reason::KeysStale`].
        reason: Reason,
        /// When it may be worth asking again.
        retry_after: Duration,
    },
}

/// The keys of every issuer of a configuration.
#[derive(Debug)]
pub struct Keys {
    issuers: Vec<IssuerKeys>,
    commands: VecDeque<Command>,
    next_fetch: u64,
}

#[derive(Debug)]
enum IssuerKeys {
    /// Nothing to fetch: they are inline, or the filter is switched off.
    Still,
    Remote(Box<RemoteIssuer>),
}

impl Keys {
    /// Keys for `config`. `seed` spreads the refreshes of several workers; it need not be secret.
    pub fn new(config: &Config, now: UnixNanos, seed: u64) -> Self {
        let issuers = config
            .issuers
            .iter()
            .enumerate()
            .map(|(at, issuer)| match &issuer.keys {
                KeySource::Inline(_) => IssuerKeys::Still,
                KeySource::Remote(_) if !config.enabled => IssuerKeys::Still,
                KeySource::Remote(remote) => {
                    let seed = seed.wrapping_add(u64::try_from(at).unwrap_or_default());
                    IssuerKeys::Remote(Box::new(RemoteIssuer::new(remote.clone(), now, seed)))
                }
            })
            .collect();
        Self {
            issuers,
            commands: VecDeque::new(),
            next_fetch: 0,
        }
    }

    /// The keys of `issuer` that may have signed a token with this `kid` and `alg`.
    ///
    /// An unknown `kid` asks for one refresh, at most once per cooldown, whatever arrives.
    pub fn find<'a>(
        &'a mut self,
        config: &'a Config,
        issuer: IssuerId,
        kid: Option<&str>,
        alg: Algorithm,
        now: UnixNanos,
    ) -> Found<'a> {
        match (
            self.issuers.get_mut(issuer.0),
            config.issuer(issuer).map(|issuer| &issuer.keys),
        ) {
            (Some(IssuerKeys::Still), Some(KeySource::Inline(set))) => in_set(set, kid, alg),
            (Some(IssuerKeys::Remote(remote)), Some(KeySource::Remote(_))) => {
                remote.find(kid, alg, now)
            }
            (Some(IssuerKeys::Still), Some(KeySource::Remote(_)) | None)
            | (Some(IssuerKeys::Remote(_)), Some(KeySource::Inline(_)) | None)
            | (None, _) => Found::Refused(Reason::Internal),
        }
    }

    /// A token without `kid` fitted keys of `issuer`, but none of them had signed it: perhaps the
    /// keys were replaced. `true` if a refresh will tell, so that it is worth waiting.
    pub fn handle_unverified(&mut self, issuer: IssuerId, now: UnixNanos) -> bool {
        match self.issuers.get_mut(issuer.0) {
            Some(IssuerKeys::Remote(remote)) => remote.ask_refresh(now),
            Some(IssuerKeys::Still) | None => false,
        }
    }

    /// Time has passed.
    pub fn handle_tick(&mut self, now: UnixNanos) {
        for (at, issuer) in self.issuers.iter_mut().enumerate() {
            if let IssuerKeys::Remote(remote) = issuer {
                let id = IssuerId(at);
                let mut outbox = Outbox {
                    commands: &mut self.commands,
                    next_fetch: &mut self.next_fetch,
                    id,
                };
                remote.handle_tick(now, &mut outbox);
            }
        }
    }

    /// A fetch has ended. Late and repeated ends are ignored.
    pub fn handle_response(&mut self, fetch: FetchId, outcome: FetchOutcome, now: UnixNanos) {
        for (at, issuer) in self.issuers.iter_mut().enumerate() {
            if let IssuerKeys::Remote(remote) = issuer
                && remote.waits_for(fetch)
            {
                let id = IssuerId(at);
                let mut outbox = Outbox {
                    commands: &mut self.commands,
                    next_fetch: &mut self.next_fetch,
                    id,
                };
                remote.handle_response(outcome, now, &mut outbox);
                return;
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
                IssuerKeys::Still => None,
                IssuerKeys::Remote(remote) => Some(remote.poll_timeout()),
            })
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
