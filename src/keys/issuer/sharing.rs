//! One issuer's keys, shared between workers: see [`crate::keys::sharing`].

use std::time::Duration;

use super::{Fetched, FetchedKeys, Location, REDISCOVER, RemoteIssuer, Why, Work};
use crate::jose::jwk::KeySet;
use crate::keys::backoff;
use crate::keys::command::{Event, Outbox};
use crate::keys::discovery;
use crate::keys::shared::{FOLLOW, Failure, FoundAt, Freshness, Record, SharedEntry};
use crate::keys::sharing::Outcome;
use crate::time::UnixNanos;

/// The time between two looks for keys that another worker has fetched, for an unknown key.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A thing to do instead of a fetch.
enum Instead {
    /// Take over the failure of another worker.
    Fail(Failure),
    /// Nothing: what there is must do.
    Rest,
}

impl RemoteIssuer {
    /// Asks for the shared entry.
    pub(super) fn look(&self, outbox: &mut Outbox<'_>) {
        if let Some(sharing) = &self.sharing {
            sharing.look(outbox);
        }
    }

    /// Returns whether another worker may have fetched since this one looked: looking costs no fetch.
    pub(super) fn look_again(&mut self, now: UnixNanos) -> bool {
        let is_due = now < self.looked_at || now.since(self.looked_at) >= LOOK_AGAIN;
        let again = self.sharing.is_some() && is_due;
        if again {
            self.want(Why::UnknownKey, UnixNanos::ZERO);
        }
        again
    }

    /// The fetch has ended: the others are told.
    pub(super) fn publish(&mut self, outcome: Outcome, outbox: &mut Outbox<'_>) {
        if let Some(sharing) = &mut self.sharing {
            sharing.publish(outcome, outbox);
        }
    }

    /// The shared entry was read; `None` where the host has none to share.
    pub(in crate::keys) fn handle_shared(
        &mut self,
        entry: Option<SharedEntry>,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        let longest_fetch = self.longest_fetch(true);
        let Some(sharing) = &mut self.sharing else {
            return;
        };
        let Some(SharedEntry { value, version }) = entry else {
            // Each on its own, then.
            sharing.publish_nothing();
            if let Work::Wanted { why, .. } | Work::Claiming { why } = self.work {
                self.begin(why, now, outbox);
            }
            return;
        };
        self.looked_at = now;
        let found = sharing.read(&value, now, longest_fetch, REDISCOVER, outbox);
        let Some((record, body)) = found else {
            return;
        };
        if self.adopt(&record, body, now, outbox) {
            return;
        }
        if self.write_publication(&record, body, version, outbox) {
            return;
        }
        let (Work::Wanted { why, .. } | Work::Claiming { why }) = self.work else {
            return;
        };
        if let Some(lease) = record.lease
            && lease.until > now
        {
            return self.want(why, now.saturating_add(FOLLOW));
        }
        if let Some(instead) = self.need_not_fetch(why, &record, now) {
            return match instead {
                Instead::Fail(failure) => self.adopt_failure(failure, outbox),
                Instead::Rest => self.rest(outbox),
            };
        }
        self.claim(why, record, body, version, now, outbox);
    }

    /// The reason not to fetch that others have left, who know as much as a fetch would tell.
    fn need_not_fetch(&mut self, why: Why, record: &Record, now: UnixNanos) -> Option<Instead> {
        match why {
            Why::Schedule => {
                let failure = record.failure.filter(|it| it.retry_at > now)?;
                Some(Instead::Fail(failure))
            }
            Why::NoKeys => {
                let is_recent = |it: &Failure| now.since(it.at) < backoff::ON_REQUEST;
                Some(Instead::Fail(record.failure.filter(is_recent)?))
            }
            Why::UnknownKey => {
                if let Some(asked_at) = record.asked_at {
                    self.last_asked = self.last_asked.max(Some(asked_at.min(now)));
                }
                if self.has_cooled(now) {
                    return None;
                }
                Some(record.failure.map_or(Instead::Rest, Instead::Fail))
            }
        }
    }

    /// The shared entry was written as this worker had asked, or was not.
    pub(in crate::keys) fn handle_shared_written(
        &mut self,
        written: bool,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        if let Work::Claiming { why } = self.work {
            if written {
                self.begin(why, now, outbox);
            } else {
                self.want(why, now.saturating_add(FOLLOW));
            }
            return;
        }
        if let Some(sharing) = &mut self.sharing {
            sharing.handle_written(written, outbox);
        }
    }

    /// This worker ends: a fetch that it has begun is left to another.
    pub(in crate::keys) fn handle_shutdown(&mut self, outbox: &mut Outbox<'_>) {
        if let Work::Fetching { .. } = self.work {
            self.work = Work::Idle;
            self.failures = 0;
            self.publish(Outcome::Failed, outbox);
        }
    }

    /// Takes over keys that another worker has fetched later than this one.
    fn adopt(
        &mut self,
        record: &Record,
        body: &[u8],
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) -> bool {
        let Some(fresh) = record.fetched else {
            return false;
        };
        let newer = match &self.keys {
            FetchedKeys::Absent => true,
            FetchedKeys::Present { fetched, .. } => fresh.at > fetched.stamp,
        };
        if !newer || self.useless == Some(fresh.at) {
            return false;
        }
        let set = match KeySet::parse(body) {
            Ok((set, _)) if !set.is_empty() => set,
            Ok(_) | Err(_) => {
                self.useless = Some(fresh.at);
                return false;
            }
        };
        if let Some(sharing) = &mut self.sharing {
            sharing.publish_nothing();
        }
        self.adopt_location(record);
        outbox.report(Event::Adopted { keys: set.len() });
        let refresh = fresh.refresh.min(self.config.timings.refresh);
        let fetched = Fetched {
            begun: fresh.begun,
            stamp: fresh.at,
            refresh,
        };
        self.take_over(set, fetched, now);
        if let Some(asked_at) = record.asked_at {
            self.last_asked = self.last_asked.max(Some(asked_at.min(now)));
        }
        self.rest(outbox);
        true
    }

    fn adopt_location(&mut self, record: &Record) {
        let Some(found) = &record.location else {
            return;
        };
        let known_until = match &self.location {
            Location::Configured(_) => return,
            Location::Undiscovered => UnixNanos::ZERO,
            Location::Discovered { until, .. } => *until,
        };
        if found.until > known_until
            && let Ok(uri) = discovery::usable_jwks_uri(&found.jwks_uri, &self.config.issuer)
        {
            self.location = Location::Discovered {
                uri,
                until: found.until,
            };
        }
    }

    /// Another worker has failed just now: this one does not try at once as well.
    fn adopt_failure(&mut self, failure: Failure, outbox: &mut Outbox<'_>) {
        self.failures = failure.count.max(1);
        self.failed_at = Some(failure.at);
        self.next = failure.retry_at;
        self.rest(outbox);
    }

    /// Nothing is to be fetched now: who waits is judged by what there is.
    fn rest(&mut self, outbox: &mut Outbox<'_>) {
        if !matches!(self.work, Work::Fetching { .. }) {
            self.work = Work::Idle;
        }
        outbox.wake();
    }

    fn claim(
        &mut self,
        why: Why,
        mut record: Record,
        body: &[u8],
        version: u32,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        self.adopt_location(&record);
        let until = now.saturating_add(self.longest_fetch(self.needs_discovery(now)));
        let Some(sharing) = &self.sharing else {
            return;
        };
        if why == Why::UnknownKey {
            record.asked_at = Some(now);
        }
        if sharing.claim(record, body, version, until, outbox) {
            self.work = Work::Claiming { why };
        } else {
            self.begin(why, now, outbox);
        }
    }

    /// Writes down what came of a fetch, if that is still to be done.
    fn write_publication(
        &mut self,
        record: &Record,
        body: &[u8],
        version: u32,
        outbox: &mut Outbox<'_>,
    ) -> bool {
        let Some(sharing) = &self.sharing else {
            return false;
        };
        let Some(outcome) = sharing.unpublished() else {
            return false;
        };
        let mut record = record.clone();
        record.asked_at = record.asked_at.max(self.last_asked);
        record.failure = (self.failures > 0).then_some(Failure {
            count: self.failures,
            at: self.failed_at.unwrap_or(self.next),
            retry_at: self.next,
        });
        record.location = match &self.location {
            Location::Configured(_) | Location::Undiscovered => None,
            Location::Discovered { uri, until } => Some(FoundAt {
                jwks_uri: uri.as_str().to_owned(),
                until: *until,
            }),
        };
        let document = match (outcome, &self.keys) {
            (Outcome::Fetched(key_set), FetchedKeys::Present { fetched, .. }) => {
                record.fetched = Some(Freshness {
                    begun: fetched.begun,
                    at: fetched.stamp,
                    refresh: fetched.refresh,
                });
                key_set
            }
            (Outcome::Fetched(_), FetchedKeys::Absent) | (Outcome::Failed, _) => body,
        };
        sharing.write_outcome(record, document, version, outbox);
        true
    }
}
