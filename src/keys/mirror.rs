//! A copy of what an authorization server says of itself (RFC 8414), for clients that look for it
//! at the protected host, as those of 2025-03-26 do.

mod sharing;

use std::time::Duration;

use super::backoff::{self, CALLBACK_GRACE};
use super::command::{Event, FetchId, FetchOutcome, Outbox};
use super::discovery::{self, WellKnown};
use super::fetch_error::{self, FetchError};
use super::shared::{FOLLOW, Subject};
use super::sharing::{Outcome, Sharing};
use crate::keys::RemoteKeys;
use crate::time::UnixNanos;

/// The age at which the copy is fetched anew.
const REFRESH: Duration = Duration::from_secs(60 * 60);

#[derive(Debug)]
pub(super) struct Mirror {
    config: RemoteKeys,
    /// The last good one: it is served on while it cannot be fetched anew.
    document: Option<Document>,
    /// The URL that is being asked, for logs.
    asked: String,
    /// The error of this attempt that says most so far, and what was asked.
    told: Option<(FetchError, String)>,
    work: Work,
    failures: u32,
    failed_at: Option<UnixNanos>,
    /// Absent where this worker is on its own.
    sharing: Option<Sharing>,
}

#[derive(Debug)]
struct Document {
    bytes: Vec<u8>,
    /// When the request for it was sent.
    begun: UnixNanos,
    /// When it came.
    at: UnixNanos,
}

#[derive(Debug)]
enum Work {
    Idle {
        next: UnixNanos,
    },
    /// A fetch is wanted: this worker looks at `look` whether another one does it.
    Wanted {
        look: UnixNanos,
    },
    /// This worker bids for the lease.
    Claiming,
    Fetching {
        id: FetchId,
        place: WellKnown,
        begun: UnixNanos,
        lost_at: UnixNanos,
    },
}

impl Mirror {
    pub(super) fn new(config: RemoteKeys, now: UnixNanos, worker: u64, shares: bool) -> Self {
        Self {
            sharing: shares.then(|| Sharing::new(Subject::Metadata, &config, worker)),
            config,
            document: None,
            asked: String::new(),
            told: None,
            work: Work::Idle { next: now },
            failures: 0,
            failed_at: None,
        }
    }

    pub(super) fn document(&self) -> Option<&[u8]> {
        self.document.as_ref().map(|it| it.bytes.as_slice())
    }

    /// Returns whether the first document may come while a request waits for it. One that cannot be had is
    /// asked for again on request, as keys are.
    pub(super) fn is_coming(&mut self, now: UnixNanos) -> bool {
        let Work::Idle { next } = &mut self.work else {
            return true;
        };
        let may_ask = self
            .failed_at
            .is_none_or(|failed| now < failed || now.since(failed) >= backoff::ON_REQUEST);
        if may_ask {
            *next = (*next).min(now);
        }
        next.since(now) <= backoff::NEAR
    }

    fn most_telling(&mut self, error: FetchError) -> (FetchError, String) {
        match self.told.take() {
            Some(told) if told.0.weight() >= error.weight() => told,
            Some(_) | None => (error, self.asked.clone()),
        }
    }

    pub(super) fn poll_timeout(&self) -> UnixNanos {
        match self.work {
            Work::Idle { next } => next,
            Work::Wanted { look } => look,
            Work::Claiming => UnixNanos::ZERO,
            Work::Fetching { lost_at, .. } => lost_at,
        }
    }

    pub(super) fn waits_for(&self, fetch: FetchId) -> bool {
        matches!(self.work, Work::Fetching { id, .. } if id == fetch)
    }

    pub(super) fn handle_tick(&mut self, now: UnixNanos, outbox: &mut Outbox<'_>) {
        match self.work {
            // A clock that went back must not put it off for longer than planned.
            Work::Idle { next } if next > now && next <= now.saturating_add(REFRESH) => {}
            Work::Idle { .. } => self.want(now, outbox),
            Work::Wanted { look } if look > now && look <= now.saturating_add(FOLLOW) => {}
            Work::Wanted { .. } => self.look(outbox),
            Work::Claiming => {}
            Work::Fetching { lost_at, .. } if lost_at > now => {}
            Work::Fetching { .. } => self.fail(FetchError::Lost, now, outbox),
        }
    }

    pub(super) fn handle_response(
        &mut self,
        outcome: FetchOutcome,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        let Work::Fetching { place, begun, .. } = self.work else {
            return;
        };
        let error = match outcome {
            FetchOutcome::Response {
                status: 200, body, ..
            } => match discovery::check_issuer(&body, &self.config.issuer) {
                Ok(()) => {
                    self.take_over(body.clone(), begun.min(now), now, now);
                    self.publish(Outcome::Fetched(body), outbox);
                    return outbox.wake();
                }
                Err(error) => FetchError::Discovery(error),
            },
            FetchOutcome::Response { status, .. } => FetchError::Status(status),
            FetchOutcome::TooLarge => FetchError::TooLarge,
            FetchOutcome::Failed => return self.fail(FetchError::Failed, now, outbox),
        };
        match place.next(&self.config.issuer) {
            Some(next) => {
                self.told = Some(self.most_telling(error));
                self.fetch(next, now, outbox);
            }
            None => self.fail(error, now, outbox),
        }
    }

    fn take_over(&mut self, bytes: Vec<u8>, begun: UnixNanos, at: UnixNanos, now: UnixNanos) {
        self.document = Some(Document { bytes, begun, at });
        self.failures = 0;
        self.told = None;
        self.work = Work::Idle {
            next: at.min(now).saturating_add(REFRESH),
        };
    }

    fn want(&mut self, now: UnixNanos, outbox: &mut Outbox<'_>) {
        if self.sharing.is_some() {
            self.work = Work::Wanted { look: now };
            self.look(outbox);
        } else {
            self.fetch(WellKnown::FIRST, now, outbox);
        }
    }

    fn fetch(&mut self, place: WellKnown, now: UnixNanos, outbox: &mut Outbox<'_>) {
        let url = match place.url(&self.config.issuer) {
            Ok(url) => url,
            Err(error) => {
                let error = discovery::DiscoveryError::UrlUnusable("jwks_uri", error);
                return self.fail(FetchError::Discovery(error), now, outbox);
            }
        };
        self.asked = fetch_error::shown(&url);
        let timeout = self.config.timings.timeout;
        let id = outbox.fetch(&self.config.cluster, &url, timeout);
        self.work = Work::Fetching {
            id,
            place,
            begun: now,
            lost_at: now.saturating_add(timeout.saturating_add(CALLBACK_GRACE)),
        };
    }

    fn fail(&mut self, error: FetchError, now: UnixNanos, outbox: &mut Outbox<'_>) {
        let (error, url) = self.most_telling(error);
        let retry_in = match &self.document {
            None => backoff::pause_for_first_keys(self.failures),
            Some(_) => backoff::pause(self.failures),
        };
        self.failed_at = Some(now);
        self.failures = self.failures.saturating_add(1);
        self.work = Work::Idle {
            next: now.saturating_add(retry_in),
        };
        outbox.report(Event::MetadataFailed {
            error,
            url,
            retry_in,
        });
        self.publish(Outcome::Failed, outbox);
        outbox.wake();
    }
}
