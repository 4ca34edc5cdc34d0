//! How the workers of one Envoy share keys, and take turns in fetching them.
//!
//! A worker that wants a fetch reads the shared entry first. Keys that another one has fetched
//! since are taken over. Who finds no lease bids for it by compare-and-swap; who loses, or finds
//! one, looks again soon. The winner fetches, and writes what came of it, without a lease. A lease
//! that its owner never gives back runs out.

use std::time::Duration;

use super::{Fetched, Keys, Location, REDISCOVER, RemoteIssuer, Why, Work};
use crate::jose::jwk::KeySet;
use crate::keys::RemoteKeys;
use crate::keys::backoff;
use crate::keys::discovery;
use crate::keys::shared::{
    Bounds, FOLLOW, Failure, FoundAt, Freshness, Lease, MOST_TRIES, Place, Record, SharedEntry,
    Subject,
};
use crate::keys::{Event, Outbox};
use crate::time::UnixNanos;

/// How often an unknown key makes a worker look for keys that another one has fetched.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Sharing {
    place: Place,
    /// Who this worker is among the others.
    worker: u64,
    looked_at: UnixNanos,
    /// The stamp of a key set of others that is not usable.
    useless: Option<UnixNanos>,
    publication: Option<Publication>,
}

/// What is to be written when a fetch has ended.
#[derive(Debug)]
struct Publication {
    /// The key set; `None` after a failure.
    key_set: Option<Vec<u8>>,
    tries: u8,
}

impl Sharing {
    pub(super) fn new(config: &RemoteKeys, worker: u64) -> Self {
        Self {
            place: Place::of(Subject::Keys, config),
            worker,
            looked_at: UnixNanos::ZERO,
            useless: None,
            publication: None,
        }
    }
}

impl RemoteIssuer {
    /// Asks for the shared entry.
    pub(super) fn look(&self, outbox: &mut Outbox<'_>) {
        if let Some(sharing) = &self.sharing {
            outbox.read_shared(Subject::Keys, sharing.place.key());
        }
    }

    /// Whether another worker may have fetched since this one looked: looking costs no fetch.
    pub(super) fn look_again(&mut self, now: UnixNanos) -> bool {
        let again = self.sharing.as_ref().is_some_and(|sharing| {
            now < sharing.looked_at || now.since(sharing.looked_at) >= LOOK_AGAIN
        });
        if again {
            self.want(Why::UnknownKey, UnixNanos::ZERO);
        }
        again
    }

    /// The fetch has ended: the others are told.
    pub(super) fn publish(&mut self, key_set: Option<Vec<u8>>, outbox: &mut Outbox<'_>) {
        if let Some(sharing) = &mut self.sharing {
            sharing.publication = Some(Publication {
                key_set,
                tries: MOST_TRIES,
            });
            self.look(outbox);
        }
    }

    /// What the shared entry is; `None` where the host has none to share.
    pub(in crate::keys) fn handle_shared(
        &mut self,
        entry: Option<SharedEntry>,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        let bounds = Bounds {
            lease: self.longest_fetch(true),
            retry: backoff::LONGEST.saturating_mul(2),
            location: REDISCOVER,
        };
        let Some(sharing) = &mut self.sharing else {
            return;
        };
        let Some(SharedEntry { value, version }) = entry else {
            // Each on its own, then.
            sharing.publication = None;
            if let Work::Wanted { why, .. } | Work::Claiming { why } = self.work {
                self.begin(why, now, outbox);
            }
            return;
        };
        sharing.looked_at = now;
        let Some((record, body)) = sharing.place.read(&value, now, bounds) else {
            return self.look(outbox);
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
        match why {
            Why::Schedule => {
                if let Some(failure) = record.failure
                    && failure.retry_at > now
                {
                    return self.adopt_failure(failure, outbox);
                }
            }
            Why::NoKeys => {
                if let Some(failure) = record.failure
                    && now.since(failure.at) < backoff::ON_REQUEST
                {
                    return self.adopt_failure(failure, outbox);
                }
            }
            Why::UnknownKey => {
                if let Some(asked_at) = record.asked_at {
                    self.last_asked = self.last_asked.max(Some(asked_at.min(now)));
                }
                if !self.has_cooled(now) {
                    return match record.failure {
                        Some(failure) => self.adopt_failure(failure, outbox),
                        None => self.rest(outbox),
                    };
                }
            }
        }
        self.claim(why, record, body, version, now, outbox);
    }

    /// Whether the shared entry was written as this worker had asked.
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
        let Some(sharing) = &mut self.sharing else {
            return;
        };
        match &mut sharing.publication {
            // The lease runs out by itself if the others write faster.
            Some(publication) if !written && publication.tries > 0 => {
                publication.tries = publication.tries.saturating_sub(1);
                self.look(outbox);
            }
            Some(_) | None => sharing.publication = None,
        }
    }

    /// This worker ends: a fetch that it has begun is left to another.
    pub(in crate::keys) fn handle_shutdown(&mut self, outbox: &mut Outbox<'_>) {
        if let Work::Fetching { .. } = self.work {
            self.work = Work::Idle;
            self.failures = 0;
            self.publish(None, outbox);
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
        let Some(sharing) = &mut self.sharing else {
            return false;
        };
        let Some(fresh) = record.fetched else {
            return false;
        };
        let newer = match &self.keys {
            Keys::Absent => true,
            Keys::Fetched { fetched, .. } => fresh.at > fetched.stamp,
        };
        if !newer || sharing.useless == Some(fresh.at) {
            return false;
        }
        let set = match KeySet::parse(body) {
            Ok((set, _)) if !set.is_empty() => set,
            Ok(_) | Err(_) => {
                sharing.useless = Some(fresh.at);
                return false;
            }
        };
        sharing.publication = None;
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
        record.lease = Some(Lease {
            owner: sharing.worker,
            until,
        });
        if why == Why::UnknownKey {
            record.asked_at = Some(now);
        }
        match record.write(body) {
            Some(value) => {
                outbox.write_shared(Subject::Keys, sharing.place.key(), value, version);
                self.work = Work::Claiming { why };
            }
            None => self.begin(why, now, outbox),
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
        let Some(publication) = &sharing.publication else {
            return false;
        };
        let mut record = record.clone();
        record.lease = record.lease.filter(|lease| lease.owner != sharing.worker);
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
        let value = match (&publication.key_set, &self.keys) {
            (Some(key_set), Keys::Fetched { fetched, .. }) => {
                record.fetched = Some(Freshness {
                    begun: fetched.begun,
                    at: fetched.stamp,
                    refresh: fetched.refresh,
                });
                record.write(key_set)
            }
            (Some(_), Keys::Absent) | (None, _) => record.write(body),
        };
        if let Some(value) = value {
            outbox.write_shared(Subject::Keys, sharing.place.key(), value, version);
        }
        true
    }
}
