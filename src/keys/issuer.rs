//! The life of one issuer's fetched keys.

mod fetching;
mod sharing;

use std::time::Duration;

use super::backoff;
use super::command::{Event, FetchId, Outbox};
use super::discovery::WellKnown;
use super::fetch_error::FetchError;
use super::found::{Doubt, Found};
use super::refused::RefusedKeys;
use super::shared::Subject;
use super::sharing::Sharing;
use crate::jose::jwk::{KeyId, KeySet, Lookup};
use crate::jose::signature::Algorithm;
use crate::keys::RemoteKeys;
use crate::reason::Reason;
use crate::time::UnixNanos;
use crate::url::HttpUrl;

/// The time for which a discovered `jwks_uri` is used before the metadata is read again.
const REDISCOVER: Duration = Duration::from_secs(60 * 60);
/// One issuer whose keys are fetched.
#[derive(Debug)]
pub(super) struct RemoteIssuer {
    config: RemoteKeys,
    location: Location,
    keys: FetchedKeys,
    work: Work,
    /// When the next fetch is due by itself.
    next: UnixNanos,
    /// Failed attempts in a row.
    failures: u32,
    /// When the last one failed, here or in another worker.
    failed_at: Option<UnixNanos>,
    /// The URL that is being asked, for logs.
    asked: String,
    /// The error of this attempt that says most so far, and what was asked.
    told: Option<(FetchError, String)>,
    /// When an unknown key last caused a fetch.
    last_asked: Option<UnixNanos>,
    refused: RefusedKeys,
    /// The last id that was given to a key.
    last_key: u64,
    /// Changes whenever a key comes or goes.
    generation: u64,
    /// Verdicts by keys that should have been refreshed, since they were last reported.
    stale_uses: u64,
    random: u64,
    /// When this worker last looked at what the others have.
    looked_at: UnixNanos,
    /// The stamp of a key set of others that is not usable.
    useless: Option<UnixNanos>,
    /// Absent where this worker is on its own.
    sharing: Option<Sharing>,
}

/// The place of the key set.
#[derive(Debug)]
enum Location {
    Configured(HttpUrl),
    Undiscovered,
    Discovered { uri: HttpUrl, until: UnixNanos },
}

/// The keys, and when they were fetched.
#[derive(Debug)]
enum FetchedKeys {
    Absent,
    Present {
        set: KeySet,
        /// When their age begins.
        at: UnixNanos,
        fetched: Fetched,
    },
}

/// The fetch of a set, by the clock of the worker that did it.
#[derive(Clone, Copy, Debug)]
struct Fetched {
    /// When the request for it was sent: it has every key that was published by then.
    begun: UnixNanos,
    /// When it came.
    stamp: UnixNanos,
    /// After which it is to be refreshed.
    refresh: Duration,
}

/// The work that is being done on them.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// Nothing before `next`.
    Idle,
    /// A fetch is wanted: this worker looks at `look` whether another one does it.
    Wanted { why: Why, look: UnixNanos },
    /// This worker bids for the lease.
    Claiming { why: Why },
    /// A fetch is under way.
    Fetching {
        id: FetchId,
        what: Document,
        begun: UnixNanos,
        lost_at: UnixNanos,
    },
}

/// The cause of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It is time.
    Schedule,
    /// A token came whose key is unknown, or that its key did not verify.
    UnknownKey,
    /// A token came while no keys can be used.
    NoKeys,
}

/// The document that is fetched.
#[derive(Clone, Copy, Debug)]
enum Document {
    Metadata(WellKnown),
    KeySet,
}

/// The state of an issuer's keys, for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyStatus {
    /// The number of usable keys.
    pub keys: usize,
    /// The time since they were fetched; `None` if they never were.
    pub age: Option<Duration>,
}

impl RemoteIssuer {
    /// `worker` tells workers apart, and spreads their refreshes; it need not be secret.
    pub(super) fn new(config: RemoteKeys, now: UnixNanos, worker: u64, shares: bool) -> Self {
        let location = match &config.jwks_uri {
            Some(uri) => Location::Configured(uri.clone()),
            None => Location::Undiscovered,
        };
        Self {
            sharing: shares.then(|| Sharing::new(Subject::Keys, &config, worker)),
            config,
            location,
            keys: FetchedKeys::Absent,
            work: Work::Idle,
            next: now,
            failures: 0,
            failed_at: None,
            asked: String::new(),
            told: None,
            last_asked: None,
            refused: RefusedKeys::default(),
            last_key: 0,
            generation: 0,
            stale_uses: 0,
            random: worker,
            looked_at: UnixNanos::ZERO,
            useless: None,
        }
    }

    pub(super) fn find(
        &mut self,
        kid: Option<&str>,
        alg: Algorithm,
        arrived: UnixNanos,
        now: UnixNanos,
    ) -> Found<'_> {
        self.heed_backward_jump(now);
        if let Some(reason) = self.unusable(now) {
            return if self.is_coming(now) || self.ask_for_any(now) {
                Found::Wait
            } else {
                self.unavailable(reason, now)
            };
        }
        let unknown = match &self.keys {
            FetchedKeys::Absent => true,
            FetchedKeys::Present { set, .. } => matches!(set.lookup(kid, alg), Lookup::Unknown),
        };
        if unknown {
            return self.find_unknown(kid, alg, arrived, now);
        }
        self.count_verdict(now);
        match &self.keys {
            FetchedKeys::Absent => self.unavailable(Reason::KeysUnavailable, now),
            FetchedKeys::Present { set, .. } => super::in_set(set, kid, alg),
        }
    }

    /// Returns whether a token that `key` verified may still be taken for verified.
    pub(super) fn trusts(&mut self, key: KeyId, now: UnixNanos) -> bool {
        self.heed_backward_jump(now);
        let FetchedKeys::Present { set, .. } = &self.keys else {
            return false;
        };
        if !set.has(key) || self.unusable(now).is_some() {
            return false;
        }
        self.count_verdict(now);
        true
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns whether a token that no key of this generation had signed may still be taken for forged.
    pub(super) fn is_unchanged(&mut self, generation: u64, now: UnixNanos) -> bool {
        self.heed_backward_jump(now);
        if generation != self.generation || self.unusable(now).is_some() {
            return false;
        }
        self.count_verdict(now);
        true
    }

    /// A key that the set lacks is refused only if the issuer was asked after its token had come.
    fn find_unknown(
        &mut self,
        kid: Option<&str>,
        alg: Algorithm,
        arrived: UnixNanos,
        now: UnixNanos,
    ) -> Found<'_> {
        match self.doubt(arrived, now) {
            Doubt::Settled => {
                self.refused.remember(kid, alg, now);
                Found::Refused(Reason::KeyUnknown)
            }
            Doubt::Wait => Found::Wait,
            Doubt::Unavailable { reason, .. }
                if reason == Reason::KeyPending && self.was_refused(kid, alg, now) =>
            {
                Found::Refused(Reason::KeyUnknown)
            }
            Doubt::Unavailable {
                reason,
                retry_after,
            } => Found::Unavailable {
                reason,
                retry_after,
            },
        }
    }

    fn was_refused(&mut self, kid: Option<&str>, alg: Algorithm, now: UnixNanos) -> bool {
        let cooldown = self.config.timings.unknown_key_cooldown;
        self.refused.has(kid, alg, now, cooldown)
    }

    /// Returns whether a token that was first seen at `since` may be by a key that this worker lacks.
    pub(super) fn doubt(&mut self, since: UnixNanos, now: UnixNanos) -> Doubt {
        if matches!(&self.keys, FetchedKeys::Present { fetched, .. } if since <= fetched.begun) {
            return Doubt::Settled;
        }
        if self.ask_refresh(now) || self.look_again(now) {
            return Doubt::Wait;
        }
        // While the issuer cannot be asked, nobody knows whether the key is a new one of its own.
        if self.failures > 0 {
            return Doubt::Unavailable {
                reason: Reason::KeysUnavailable,
                retry_after: self.retry_after(now),
            };
        }
        let cooled = self.last_asked.unwrap_or(now);
        let cooled = cooled.saturating_add(self.config.timings.unknown_key_cooldown);
        Doubt::Unavailable {
            reason: Reason::KeyPending,
            retry_after: cooled.since(now).max(backoff::FIRST),
        }
    }

    /// Returns whether a fetch is now wanted because no keys can be used: who waits for the schedule alone
    /// waits long after an outage.
    fn ask_for_any(&mut self, now: UnixNanos) -> bool {
        let may_ask = self
            .failed_at
            .is_none_or(|failed| now < failed || now.since(failed) >= backoff::ON_REQUEST);
        if may_ask {
            self.want(Why::NoKeys, UnixNanos::ZERO);
        }
        may_ask
    }

    /// Returns whether a refresh is under way or now wanted; at most one begins per cooldown.
    fn ask_refresh(&mut self, now: UnixNanos) -> bool {
        match self.work {
            Work::Wanted { .. } | Work::Claiming { .. } | Work::Fetching { .. } => true,
            Work::Idle => {
                let cooled = self.has_cooled(now);
                if cooled {
                    self.want(Why::UnknownKey, UnixNanos::ZERO);
                }
                cooled
            }
        }
    }

    pub(super) fn handle_tick(&mut self, now: UnixNanos, outbox: &mut Outbox<'_>) {
        self.heed_backward_jump(now);
        if self.stale_uses > 0 {
            outbox.report(Event::StaleUse {
                verdicts: self.stale_uses,
            });
            self.stale_uses = 0;
        }
        if let Work::Fetching { lost_at, .. } = self.work {
            if lost_at <= now {
                self.fail(FetchError::Lost, now, outbox);
            }
            return;
        }
        if let Work::Idle = self.work
            && self.next <= now
        {
            self.want(Why::Schedule, UnixNanos::ZERO);
        }
        if self.sharing.is_some() {
            self.look(outbox);
        } else if let Work::Wanted { why, .. } = self.work {
            self.begin(why, now, outbox);
        }
    }

    pub(super) fn waits_for(&self, fetch: FetchId) -> bool {
        matches!(self.work, Work::Fetching { id, .. } if id == fetch)
    }

    pub(super) fn poll_timeout(&self) -> UnixNanos {
        match self.work {
            Work::Idle => self.next,
            Work::Wanted { look, .. } => look,
            Work::Claiming { .. } => UnixNanos::ZERO,
            Work::Fetching { lost_at, .. } => lost_at,
        }
    }

    pub(super) fn status(&self, now: UnixNanos) -> KeyStatus {
        match &self.keys {
            FetchedKeys::Absent => KeyStatus { keys: 0, age: None },
            FetchedKeys::Present { set, at, .. } => KeyStatus {
                keys: set.len(),
                age: Some(now.since(*at)),
            },
        }
    }

    fn want(&mut self, why: Why, look: UnixNanos) {
        self.work = Work::Wanted { why, look };
    }

    /// Takes over a set: fetched here, or by another worker.
    fn take_over(&mut self, mut set: KeySet, fetched: Fetched, now: UnixNanos) {
        let at = fetched.stamp.min(now);
        let nothing = KeySet::default();
        let old = match &self.keys {
            FetchedKeys::Absent => &nothing,
            FetchedKeys::Present { set, .. } => set,
        };
        if !set.succeed(old, &mut self.last_key) {
            self.generation = self.generation.wrapping_add(1);
        }
        for (kid, alg) in old.names() {
            if matches!(set.lookup(Some(kid), alg), Lookup::Unknown) {
                self.refused.remember(Some(kid), alg, now);
            }
        }
        self.keys = FetchedKeys::Present { set, at, fetched };
        self.failures = 0;
        let early = self.spread(fetched.refresh, 10);
        self.next = at.saturating_add(fetched.refresh.saturating_sub(early));
    }

    /// Why the keys can give no verdict, if so.
    fn unusable(&self, now: UnixNanos) -> Option<Reason> {
        match &self.keys {
            FetchedKeys::Absent => Some(Reason::KeysUnavailable),
            FetchedKeys::Present { at, fetched, .. } => {
                let bound = fetched
                    .refresh
                    .saturating_add(self.config.timings.max_stale);
                (now.since(*at) >= bound).then_some(Reason::KeysStale)
            }
        }
    }

    /// The keys are used for a verdict.
    fn count_verdict(&mut self, now: UnixNanos) {
        if self.is_overdue(now) {
            self.stale_uses = self.stale_uses.saturating_add(1);
        }
    }

    fn is_overdue(&self, now: UnixNanos) -> bool {
        matches!(&self.keys, FetchedKeys::Present { at, fetched, .. } if now.since(*at) > fetched.refresh)
    }

    /// Returns whether a fetch is under way, or about to be.
    fn is_coming(&self, now: UnixNanos) -> bool {
        match self.work {
            Work::Idle => {
                let near = match &self.keys {
                    FetchedKeys::Absent => backoff::NEAR,
                    FetchedKeys::Present { .. } => Duration::ZERO,
                };
                self.next.since(now) <= near
            }
            Work::Wanted { .. } | Work::Claiming { .. } | Work::Fetching { .. } => true,
        }
    }

    fn has_cooled(&self, now: UnixNanos) -> bool {
        self.last_asked.is_none_or(|asked| {
            now < asked || now.since(asked) >= self.config.timings.unknown_key_cooldown
        })
    }

    fn unavailable(&self, reason: Reason, now: UnixNanos) -> Found<'_> {
        let on_request = self.failed_at.unwrap_or(now);
        let on_request = on_request.saturating_add(backoff::ON_REQUEST).since(now);
        Found::Unavailable {
            reason,
            retry_after: self.retry_after(now).min(on_request).max(backoff::FIRST),
        }
    }

    fn retry_after(&self, now: UnixNanos) -> Duration {
        match self.work {
            Work::Idle => self.next.since(now).max(backoff::FIRST),
            Work::Wanted { .. } | Work::Claiming { .. } | Work::Fetching { .. } => {
                self.config.timings.timeout
            }
        }
    }

    /// The clock went back: whatever was planned by it is planned anew, so that refreshes go on
    /// and no key outlives its bound.
    fn heed_backward_jump(&mut self, now: UnixNanos) {
        if let FetchedKeys::Present { at, fetched, .. } = &mut self.keys
            && *at > now
        {
            *at = now;
            fetched.stamp = now;
            fetched.begun = UnixNanos::ZERO;
            self.last_asked = None;
            self.next = now;
        }
        let timings = &self.config.timings;
        let longest = timings.refresh.max(backoff::LONGEST.saturating_mul(2));
        if self.next > now.saturating_add(longest) {
            self.next = now;
        }
        if let Work::Wanted { look, .. } = &mut self.work {
            *look = (*look).min(now.saturating_add(backoff::CALLBACK_GRACE));
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
