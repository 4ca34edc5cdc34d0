//! Where an issuer's introspection endpoint is: as configured, or as its metadata says, in whichever
//! of the well-known places has it (some servers name it in one of their documents only).

use std::time::Duration;

use super::source::{EndpointSource, IntrospectionSource};
use super::{CallId, Event, Outbox};
use crate::keys::backoff::{self, CALLBACK_GRACE};
use crate::keys::discovery::{self, DiscoveryError, WellKnown};
use crate::keys::fetch_error::shown;
use crate::keys::{FetchError, FetchOutcome};
use crate::time::UnixNanos;
use crate::url::HttpUrl;

/// How long a place is used before the metadata is read again.
const REDISCOVER: Duration = Duration::from_secs(60 * 60);
/// The least time between two readings where the endpoint is not where it was said to be.
const MISPLACED: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Endpoint {
    issuer: HttpUrl,
    timeout: Duration,
    /// The last one that was found: it is used on while the metadata cannot be read again.
    url: Option<HttpUrl>,
    search: Option<Search>,
}

/// How it is looked for, where it is not configured.
#[derive(Debug)]
struct Search {
    cluster: String,
    work: Work,
    failures: u32,
    failed_at: Option<UnixNanos>,
    found_at: Option<UnixNanos>,
    /// What is being asked, for logs.
    asked: String,
    /// The error of this attempt that says most so far, and what was asked.
    told: Option<(FetchError, String)>,
}

#[derive(Debug)]
enum Work {
    Idle {
        next: UnixNanos,
    },
    Looking {
        call: CallId,
        place: WellKnown,
        lost_at: UnixNanos,
    },
}

impl Endpoint {
    pub(super) fn new(source: &IntrospectionSource) -> Self {
        let (url, search) = match &source.endpoint {
            EndpointSource::Configured(url) => (Some(url.clone()), None),
            EndpointSource::Discovered { cluster } => {
                let search = Search {
                    cluster: cluster.clone(),
                    work: Work::Idle {
                        next: UnixNanos::ZERO,
                    },
                    failures: 0,
                    failed_at: None,
                    found_at: None,
                    asked: String::new(),
                    told: None,
                };
                (None, Some(search))
            }
        };
        Self {
            issuer: source.issuer.clone(),
            timeout: source.timeout,
            url,
            search,
        }
    }

    pub(super) fn url(&self) -> Option<&HttpUrl> {
        self.url.as_ref()
    }

    /// Whether it is known, or may be found while a request waits for it. One that was not found is
    /// looked for again on request, as keys are.
    pub(super) fn is_coming(&mut self, now: UnixNanos) -> bool {
        let (None, Some(search)) = (&self.url, &mut self.search) else {
            return true;
        };
        let may_ask = search
            .failed_at
            .is_none_or(|failed| now < failed || now.since(failed) >= backoff::ON_REQUEST);
        match &mut search.work {
            Work::Looking { .. } => true,
            Work::Idle { next } => {
                if may_ask {
                    *next = (*next).min(now);
                }
                next.since(now) <= backoff::NEAR
            }
        }
    }

    /// The endpoint does not know itself: it may have moved.
    pub(super) fn is_misplaced(&mut self, now: UnixNanos) {
        let Some(search) = &mut self.search else {
            return;
        };
        let again = search.found_at.unwrap_or(now).saturating_add(MISPLACED);
        if let Work::Idle { next } = &mut search.work {
            *next = (*next).min(again.max(now));
        }
    }

    pub(super) fn waits_for(&self, id: CallId) -> bool {
        let work = self.search.as_ref().map(|search| &search.work);
        matches!(work, Some(Work::Looking { call, .. }) if *call == id)
    }

    pub(super) fn poll_timeout(&self) -> Option<UnixNanos> {
        self.search.as_ref().map(|search| match search.work {
            Work::Idle { next } => next,
            Work::Looking { lost_at, .. } => lost_at,
        })
    }

    /// Returns whether a search has just ended without any endpoint.
    pub(super) fn handle_tick(&mut self, now: UnixNanos, outbox: &mut Outbox<'_>) -> bool {
        match self.search.as_ref().map(|search| &search.work) {
            // A clock that went back must not put it off for longer than planned.
            Some(Work::Idle { next }) if *next > now && *next <= now.saturating_add(REDISCOVER) => {
                false
            }
            Some(Work::Idle { .. }) => self.look(WellKnown::FIRST, now, outbox),
            Some(Work::Looking { lost_at, .. }) if *lost_at <= now => {
                self.fail(FetchError::Lost, now, outbox)
            }
            Some(Work::Looking { .. }) | None => false,
        }
    }

    /// As [`Endpoint::handle_tick`].
    pub(super) fn handle_response(
        &mut self,
        outcome: FetchOutcome,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) -> bool {
        let Some(Work::Looking { place, .. }) = self.search.as_ref().map(|search| &search.work)
        else {
            return false;
        };
        let place = *place;
        let error = match outcome {
            // The server cannot be reached: another place on it cannot be either.
            FetchOutcome::Failed => return self.fail(FetchError::Failed, now, outbox),
            FetchOutcome::Response {
                status: status @ (503 | 504),
                ..
            } => return self.fail(FetchError::Status(status), now, outbox),
            FetchOutcome::Response {
                status: 200, body, ..
            } => match discovery::introspection_endpoint(&body, &self.issuer) {
                Ok(url) => {
                    self.take_over(url, now, outbox);
                    return false;
                }
                Err(error) => FetchError::Discovery(error),
            },
            FetchOutcome::Response { status, .. } => FetchError::Status(status),
            FetchOutcome::TooLarge => FetchError::TooLarge,
        };
        match place.next(&self.issuer) {
            Some(next) => {
                self.note(error);
                self.look(next, now, outbox)
            }
            None => self.fail(error, now, outbox),
        }
    }

    fn take_over(&mut self, url: HttpUrl, now: UnixNanos, outbox: &mut Outbox<'_>) {
        if self.url.as_ref() != Some(&url) {
            outbox.report(Event::EndpointFound { url: shown(&url) });
        }
        self.url = Some(url);
        if let Some(search) = &mut self.search {
            search.failures = 0;
            search.told = None;
            search.found_at = Some(now);
            search.work = Work::Idle {
                next: now.saturating_add(REDISCOVER),
            };
        }
    }

    fn look(&mut self, place: WellKnown, now: UnixNanos, outbox: &mut Outbox<'_>) -> bool {
        let url = match place.url(&self.issuer) {
            Ok(url) => url,
            Err(error) => {
                let error = DiscoveryError::UrlUnusable("issuer", error);
                return self.fail(FetchError::Discovery(error), now, outbox);
            }
        };
        if let Some(search) = &mut self.search {
            search.asked = shown(&url);
            search.work = Work::Looking {
                call: outbox.call(&search.cluster, &url, None, self.timeout),
                place,
                lost_at: now.saturating_add(self.timeout.saturating_add(CALLBACK_GRACE)),
            };
        }
        false
    }

    /// Keeps this error of what was asked last, or an earlier one of this attempt that says more.
    fn note(&mut self, error: FetchError) {
        if let Some(search) = &mut self.search {
            let told = search.told.take();
            search.told = match told {
                Some(told) if told.0.weight() >= error.weight() => Some(told),
                Some(_) | None => Some((error, search.asked.clone())),
            };
        }
    }

    fn fail(&mut self, error: FetchError, now: UnixNanos, outbox: &mut Outbox<'_>) -> bool {
        self.note(error);
        let Some(search) = &mut self.search else {
            return false;
        };
        let retry_in = match &self.url {
            None => backoff::pause_for_first_keys(search.failures),
            Some(_) => backoff::LONGEST,
        };
        search.failed_at = Some(now);
        search.failures = search.failures.saturating_add(1);
        search.work = Work::Idle {
            next: now.saturating_add(retry_in),
        };
        if let Some((error, url)) = search.told.take() {
            outbox.report(Event::EndpointFailed {
                error,
                url,
                retry_in,
            });
        }
        self.url.is_none()
    }
}
