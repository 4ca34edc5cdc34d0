//! Fetches of keys: discovery, then the set; and what follows from a failure.

use std::time::Duration;

use super::{Document, Fetched, FetchedKeys, Location, REDISCOVER, RemoteIssuer, Why, Work};
use crate::jose::jwk::KeySet;
use crate::keys::backoff::{self, CALLBACK_GRACE};
use crate::keys::command::{Event, FetchOutcome, Outbox};
use crate::keys::discovery::{self, DiscoveryError, WellKnown};
use crate::keys::sharing::Outcome;
use crate::keys::{FetchError, fetch_error, freshness};
use crate::time::UnixNanos;
use crate::url::HttpUrl;

impl RemoteIssuer {
    pub(super) fn begin(&mut self, why: Why, now: UnixNanos, outbox: &mut Outbox<'_>) {
        if why == Why::UnknownKey {
            self.last_asked = Some(now);
        }
        self.told = None;
        if self.needs_discovery(now) {
            self.fetch_metadata(WellKnown::FIRST, now, outbox);
        } else {
            self.fetch_key_set(now, outbox);
        }
    }

    pub(super) fn needs_discovery(&self, now: UnixNanos) -> bool {
        match &self.location {
            Location::Configured(_) => false,
            Location::Undiscovered => true,
            Location::Discovered { until, .. } => *until <= now,
        }
    }

    /// The longest time until a fetch has ended.
    pub(super) fn longest_fetch(&self, with_discovery: bool) -> Duration {
        let one = self.config.timings.timeout.saturating_add(CALLBACK_GRACE);
        if with_discovery {
            one.saturating_mul(WellKnown::MOST.saturating_add(1))
        } else {
            one
        }
    }

    fn fetch_metadata(&mut self, place: WellKnown, now: UnixNanos, outbox: &mut Outbox<'_>) {
        match place.url(&self.config.issuer) {
            Ok(url) => {
                let cluster = self.config.cluster.clone();
                self.fetch(Document::Metadata(place), &cluster, &url, now, outbox);
            }
            Err(error) => {
                let error = FetchError::Discovery(DiscoveryError::UrlUnusable("jwks_uri", error));
                self.fail(error, now, outbox);
            }
        }
    }

    fn fetch_key_set(&mut self, now: UnixNanos, outbox: &mut Outbox<'_>) {
        let uri = match &self.location {
            Location::Configured(uri) | Location::Discovered { uri, .. } => uri.clone(),
            Location::Undiscovered => return self.fetch_metadata(WellKnown::FIRST, now, outbox),
        };
        // The metadata was found, or is not needed: what went wrong before is no cause.
        self.told = None;
        let cluster = self.config.jwks_cluster.clone();
        self.fetch(Document::KeySet, &cluster, &uri, now, outbox);
    }

    fn fetch(
        &mut self,
        what: Document,
        cluster: &str,
        url: &HttpUrl,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        self.asked = fetch_error::shown(url);
        let timeout = self.config.timings.timeout;
        let id = outbox.fetch(cluster, url, timeout);
        let lost_at = now.saturating_add(timeout.saturating_add(CALLBACK_GRACE));
        self.work = Work::Fetching {
            id,
            what,
            begun: now,
            lost_at,
        };
    }

    pub(in crate::keys) fn handle_response(
        &mut self,
        outcome: FetchOutcome,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        self.heed_backward_jump(now);
        let Work::Fetching { what, begun, .. } = self.work else {
            return;
        };
        match what {
            Document::Metadata(place) => self.handle_metadata(place, outcome, now, outbox),
            Document::KeySet => self.handle_key_set(outcome, begun, now, outbox),
        }
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
            Some(next) => {
                self.told = Some(self.most_telling(error));
                self.fetch_metadata(next, now, outbox);
            }
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

    fn handle_key_set(
        &mut self,
        outcome: FetchOutcome,
        begun: UnixNanos,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        let (cache_control, body) = match outcome {
            FetchOutcome::Failed => return self.fail(FetchError::Failed, now, outbox),
            FetchOutcome::TooLarge => return self.fail(FetchError::TooLarge, now, outbox),
            FetchOutcome::Response {
                status: 200,
                cache_control,
                body,
            } => (cache_control, body),
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
        // Keys for encryption stand beside the others in many a set (Keycloak's): no news.
        for key in skipped.into_iter().filter(|key| key.why.is_fault()) {
            outbox.report(Event::KeySkipped(key));
        }
        // A server that lost its keys says so by an empty set; the last good ones still bind it.
        if set.is_empty() {
            return self.fail(FetchError::NoUsableKey, now, outbox);
        }
        let refresh = freshness::refresh(&cache_control, self.config.timings.refresh);
        let keys = set.len();
        outbox.report(Event::Refreshed { keys, refresh });
        let fetched = Fetched {
            begun,
            stamp: now,
            refresh,
        };
        self.take_over(set, fetched, now);
        self.work = Work::Idle;
        self.publish(Outcome::Fetched(body), outbox);
        outbox.wake();
    }

    /// This error of what was asked last, or an earlier one of this attempt that says more.
    fn most_telling(&mut self, error: FetchError) -> (FetchError, String) {
        match self.told.take() {
            Some(told) if told.0.weight() >= error.weight() => told,
            Some(_) | None => (error, self.asked.clone()),
        }
    }

    pub(super) fn fail(&mut self, error: FetchError, now: UnixNanos, outbox: &mut Outbox<'_>) {
        let (error, url) = self.most_telling(error);
        let pause = match &self.keys {
            FetchedKeys::Absent => backoff::pause_for_first_keys(self.failures),
            FetchedKeys::Present { .. } => backoff::pause(self.failures),
        };
        self.failed_at = Some(now);
        self.failures = self.failures.saturating_add(1);
        let retry_in = pause.saturating_add(self.spread(pause, 4));
        self.next = now.saturating_add(retry_in);
        self.work = Work::Idle;
        outbox.report(Event::FetchFailed {
            error,
            url,
            retry_in,
        });
        self.publish(Outcome::Failed, outbox);
        outbox.wake();
    }
}
