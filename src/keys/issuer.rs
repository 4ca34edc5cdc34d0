//! The life of one issuer's fetched keys.

use std::fmt;
use std::time::Duration;

use super::discovery::{self, DiscoveryError, WellKnown};
use super::jwk::{KeySet, KeySetError, Lookup};
use super::{Event, FetchId, FetchOutcome, Found, Outbox};
use crate::config::RemoteKeys;
use crate::reason::Reason;
use crate::time::UnixNanos;
use crate::token::signature::Algorithm;
use crate::url::HttpUrl;

/// The first pause after a failed fetch; it doubles with each further failure.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// The longest pause after a failed fetch.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// How long past its timeout a fetch is waited for; then its callback is taken for lost.
const CALLBACK_GRACE: Duration = Duration::from_secs(2);
/// How long a discovered `jwks_uri` is used before the metadata is read again.
const REDISCOVER: Duration = Duration::from_secs(60 * 60);

/// Why a fetch brought no keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchError {
    /// The connection was reset, or the call could not be made.
    Failed,
    /// No answer, and no callback either.
    Lost,
    /// Another status than 200; 503 and 504 are Envoy's own where the server cannot be reached.
    Status(u16),
    /// Longer than [`super::MAX_RESPONSE_BYTES`].
    TooLarge,
    /// The issuer's metadata cannot be used.
    Discovery(DiscoveryError),
    /// The answer is not a JWK set.
    KeySet(KeySetError),
    /// The set has no key that can verify a signature.
    NoUsableKey,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed => f.write_str("the call failed or was reset"),
            Self::Lost => f.write_str("the call was never answered"),
            Self::Status(status) => write!(f, "the answer has status {status}"),
            Self::TooLarge => write!(
                f,
                "the answer is longer than {} bytes",
                super::MAX_RESPONSE_BYTES
            ),
            Self::Discovery(error) => write!(f, "{error}"),
            Self::KeySet(error) => write!(f, "the answer is not a JWK set: {error}"),
            Self::NoUsableKey => f.write_str("the JWK set has no key that can verify a signature"),
        }
    }
}

/// One issuer whose keys are fetched.
#[derive(Debug)]
pub(super) struct RemoteIssuer {
    config: RemoteKeys,
    location: Location,
    keys: Keys,
    work: Work,
    /// Failed attempts in a row.
    failures: u32,
    /// When an unknown key last asked for a refresh.
    last_asked: Option<UnixNanos>,
    random: u64,
}

/// Where the key set is.
#[derive(Debug)]
enum Location {
    Configured(HttpUrl),
    Undiscovered,
    Discovered { uri: HttpUrl, until: UnixNanos },
}

/// The keys, and when they were fetched.
#[derive(Debug)]
enum Keys {
    Absent,
    Fetched {
        set: KeySet,
        at: UnixNanos,
        refresh: Duration,
    },
}

/// What is being done about them.
#[derive(Debug)]
enum Work {
    /// Nothing before `next`.
    Idle { next: UnixNanos },
    /// A refresh was asked for, and begins with the next tick.
    Due,
    /// A fetch is under way.
    Fetching {
        id: FetchId,
        what: Target,
        lost_at: UnixNanos,
    },
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Metadata(WellKnown),
    KeySet,
}

impl RemoteIssuer {
    pub(super) fn new(config: RemoteKeys, now: UnixNanos, seed: u64) -> Self {
        let location = match &config.jwks_uri {
            Some(uri) => Location::Configured(uri.clone()),
            None => Location::Undiscovered,
        };
        Self {
            config,
            location,
            keys: Keys::Absent,
            work: Work::Idle { next: now },
            failures: 0,
            last_asked: None,
            random: seed,
        }
    }

    pub(super) fn find(&mut self, kid: Option<&str>, alg: Algorithm, now: UnixNanos) -> Found<'_> {
        self.heed_backward_jump(now);
        let wait = match self.work {
            Work::Fetching { .. } | Work::Due => true,
            Work::Idle { next } => next <= now,
        };
        let retry_after = self.retry_after(now);
        let absent = match &self.keys {
            Keys::Absent => Some(Reason::KeysUnavailable),
            Keys::Fetched { at, refresh, .. } => {
                let bound = refresh.saturating_add(self.config.timings.max_stale);
                (now.since(*at) >= bound).then_some(Reason::KeysStale)
            }
        };
        if let Some(reason) = absent {
            return if wait {
                Found::Wait
            } else {
                Found::Unavailable {
                    reason,
                    retry_after,
                }
            };
        }
        let unknown = match &self.keys {
            Keys::Absent => true,
            Keys::Fetched { set, .. } => matches!(set.lookup(kid, alg), Lookup::Unknown),
        };
        if unknown && self.ask_refresh(now) {
            return Found::Wait;
        }
        // While the issuer cannot be asked, nobody knows whether the key is a new one of its own.
        if unknown && self.failures > 0 {
            return Found::Unavailable {
                reason: Reason::KeysUnavailable,
                retry_after,
            };
        }
        match &self.keys {
            Keys::Absent => Found::Unavailable {
                reason: Reason::KeysUnavailable,
                retry_after,
            },
            Keys::Fetched { set, .. } => super::in_set(set, kid, alg),
        }
    }

    /// Whether a refresh is under way or now due; at most one begins per cooldown.
    pub(super) fn ask_refresh(&mut self, now: UnixNanos) -> bool {
        match self.work {
            Work::Due | Work::Fetching { .. } => true,
            Work::Idle { .. } => {
                let cooled = self.last_asked.is_none_or(|asked| {
                    now < asked || now.since(asked) >= self.config.timings.unknown_key_cooldown
                });
                if cooled {
                    self.last_asked = Some(now);
                    self.work = Work::Due;
                }
                cooled
            }
        }
    }

    pub(super) fn handle_tick(&mut self, now: UnixNanos, outbox: &mut Outbox<'_>) {
        self.heed_backward_jump(now);
        match self.work {
            Work::Idle { next } if next > now => {}
            Work::Idle { .. } | Work::Due => self.begin(now, outbox),
            Work::Fetching { lost_at, .. } if lost_at > now => {}
            Work::Fetching { .. } => self.fail(FetchError::Lost, now, outbox),
        }
    }

    pub(super) fn waits_for(&self, fetch: FetchId) -> bool {
        matches!(self.work, Work::Fetching { id, .. } if id == fetch)
    }

    pub(super) fn handle_response(
        &mut self,
        outcome: FetchOutcome,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        self.heed_backward_jump(now);
        let Work::Fetching { what, .. } = self.work else {
            return;
        };
        match what {
            Target::Metadata(place) => self.handle_metadata(place, outcome, now, outbox),
            Target::KeySet => self.handle_key_set(outcome, now, outbox),
        }
    }

    pub(super) fn poll_timeout(&self) -> UnixNanos {
        match self.work {
            Work::Idle { next } => next,
            Work::Due => UnixNanos::ZERO,
            Work::Fetching { lost_at, .. } => lost_at,
        }
    }

    fn begin(&mut self, now: UnixNanos, outbox: &mut Outbox<'_>) {
        match &self.location {
            Location::Configured(_) => self.fetch_key_set(now, outbox),
            Location::Discovered { until, .. } if now < *until => self.fetch_key_set(now, outbox),
            Location::Discovered { .. } | Location::Undiscovered => {
                self.fetch_metadata(WellKnown::FIRST, now, outbox);
            }
        }
    }

    fn fetch_metadata(&mut self, place: WellKnown, now: UnixNanos, outbox: &mut Outbox<'_>) {
        match place.url(&self.config.issuer) {
            Ok(url) => {
                let cluster = self.config.cluster.clone();
                self.fetch(Target::Metadata(place), &cluster, &url, now, outbox);
            }
            Err(error) => {
                let error = FetchError::Discovery(DiscoveryError::JwksUriUnusable(error));
                self.fail(error, now, outbox);
            }
        }
    }

    fn fetch_key_set(&mut self, now: UnixNanos, outbox: &mut Outbox<'_>) {
        let uri = match &self.location {
            Location::Configured(uri) | Location::Discovered { uri, .. } => uri.clone(),
            Location::Undiscovered => return self.fetch_metadata(WellKnown::FIRST, now, outbox),
        };
        let cluster = self.config.jwks_cluster.clone();
        self.fetch(Target::KeySet, &cluster, &uri, now, outbox);
    }

    fn fetch(
        &mut self,
        what: Target,
        cluster: &str,
        url: &HttpUrl,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        let timeout = self.config.timings.timeout;
        let id = outbox.fetch(cluster, url, timeout);
        let lost_at = now.saturating_add(timeout.saturating_add(CALLBACK_GRACE));
        self.work = Work::Fetching { id, what, lost_at };
    }

    fn handle_metadata(
        &mut self,
        place: WellKnown,
        outcome: FetchOutcome,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        let error = match outcome {
            // The server cannot be reached: another place on it cannot be either.
            FetchOutcome::Failed => return self.fail_metadata(FetchError::Failed, now, outbox),
            FetchOutcome::Response {
                status: status @ (503 | 504),
                ..
            } => {
                return self.fail_metadata(FetchError::Status(status), now, outbox);
            }
            FetchOutcome::TooLarge => FetchError::TooLarge,
            FetchOutcome::Response {
                status: 200, body, ..
            } => match discovery::jwks_uri(&body, &self.config.issuer) {
                Ok(uri) => {
                    self.location = Location::Discovered {
                        uri,
                        until: now.saturating_add(REDISCOVER),
                    };
                    return self.fetch_key_set(now, outbox);
                }
                Err(error) => FetchError::Discovery(error),
            },
            FetchOutcome::Response { status, .. } => FetchError::Status(status),
        };
        match place.next(&self.config.issuer) {
            Some(next) => self.fetch_metadata(next, now, outbox),
            None => self.fail_metadata(error, now, outbox),
        }
    }

    /// Metadata that was good once is used on while it cannot be read again.
    fn fail_metadata(&mut self, error: FetchError, now: UnixNanos, outbox: &mut Outbox<'_>) {
        match &mut self.location {
            Location::Discovered { until, .. } => {
                *until = now.saturating_add(REDISCOVER);
                self.fetch_key_set(now, outbox);
            }
            Location::Configured(_) | Location::Undiscovered => self.fail(error, now, outbox),
        }
    }

    fn handle_key_set(&mut self, outcome: FetchOutcome, now: UnixNanos, outbox: &mut Outbox<'_>) {
        let body = match outcome {
            FetchOutcome::Failed => return self.fail(FetchError::Failed, now, outbox),
            FetchOutcome::TooLarge => return self.fail(FetchError::TooLarge, now, outbox),
            FetchOutcome::Response {
                status: 200, body, ..
            } => body,
            FetchOutcome::Response { status, .. } => {
                if let (400..500, Location::Discovered { until, .. }) = (status, &mut self.location)
                {
                    // It may have moved: the metadata is read again before the next try.
                    *until = UnixNanos::ZERO;
                }
                return self.fail(FetchError::Status(status), now, outbox);
            }
        };
        let (set, skipped) = match KeySet::parse(&body) {
            Ok(parsed) => parsed,
            Err(error) => return self.fail(FetchError::KeySet(error), now, outbox),
        };
        for key in skipped {
            outbox.report(Event::KeySkipped(key));
        }
        // A server that lost its keys says so by an empty set; the last good ones still bind it.
        if set.is_empty() {
            return self.fail(FetchError::NoUsableKey, now, outbox);
        }
        outbox.report(Event::Refreshed { keys: set.len() });
        let refresh = self.config.timings.refresh;
        self.keys = Keys::Fetched {
            set,
            at: now,
            refresh,
        };
        self.failures = 0;
        let early = self.spread(refresh, 10);
        self.work = Work::Idle {
            next: now.saturating_add(refresh.saturating_sub(early)),
        };
        outbox.wake();
    }

    fn fail(&mut self, error: FetchError, now: UnixNanos, outbox: &mut Outbox<'_>) {
        let factor = 1_u32.checked_shl(self.failures.min(6)).unwrap_or(1);
        self.failures = self.failures.saturating_add(1);
        let pause = FIRST_BACKOFF.saturating_mul(factor).min(LONGEST_BACKOFF);
        let retry_in = pause.saturating_add(self.spread(pause, 4));
        self.work = Work::Idle {
            next: now.saturating_add(retry_in),
        };
        outbox.report(Event::FetchFailed { error, retry_in });
        outbox.wake();
    }

    fn retry_after(&self, now: UnixNanos) -> Duration {
        match self.work {
            Work::Idle { next } => next.since(now).max(FIRST_BACKOFF),
            Work::Due | Work::Fetching { .. } => self.config.timings.timeout,
        }
    }

    /// The clock went back: whatever was planned by it is planned anew, so that refreshes go on
    /// and no key outlives its bound.
    fn heed_backward_jump(&mut self, now: UnixNanos) {
        if let Keys::Fetched { at, .. } = &mut self.keys
            && *at > now
        {
            *at = now;
            self.last_asked = None;
            if let Work::Idle { .. } = self.work {
                self.work = Work::Due;
            }
        }
        let longest = self
            .config
            .timings
            .refresh
            .max(LONGEST_BACKOFF.saturating_mul(2));
        if let Work::Idle { next } = self.work
            && next > now.saturating_add(longest)
        {
            self.work = Work::Due;
        }
    }

    /// Something between nothing and a `1/part` of `whole`, so that workers do not fetch in step.
    fn spread(&mut self, whole: Duration, part: u32) -> Duration {
        // SplitMix64 (Steele, Lea, Flood 2014): spreading needs no secrecy.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let fraction = u32::try_from((z ^ (z >> 31)) >> 56).unwrap_or(0);
        whole
            .checked_div(part)
            .and_then(|share| share.saturating_mul(fraction).checked_div(256))
            .unwrap_or_default()
    }
}
