//! Mirrored metadata, shared between workers: as keys, but nobody looks unless a fetch is due.

use std::time::Duration;

use super::{Document, Mirror, REFRESH, Work};
use crate::keys::backoff::{self, CALLBACK_GRACE};
use crate::keys::command::Outbox;
use crate::keys::discovery::{self, WellKnown};
use crate::keys::shared::{FOLLOW, Failure, Freshness, Record, SharedEntry};
use crate::keys::sharing::Outcome;
use crate::time::UnixNanos;

impl Mirror {
    /// Asks for the shared entry.
    pub(super) fn look(&self, outbox: &mut Outbox<'_>) {
        if let Some(sharing) = &self.sharing {
            sharing.look(outbox);
        }
    }

    /// The fetch has ended: the others are told.
    pub(super) fn publish(&mut self, outcome: Outcome, outbox: &mut Outbox<'_>) {
        if let Some(sharing) = &mut self.sharing {
            sharing.publish(outcome, outbox);
        }
    }

    /// The shared entry; `None` where the host has none to share.
    pub(in crate::keys) fn handle_shared(
        &mut self,
        entry: Option<SharedEntry>,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        let longest_fetch = self.longest_fetch();
        let Some(sharing) = &mut self.sharing else {
            return;
        };
        let Some(SharedEntry { value, version }) = entry else {
            // Each on its own, then.
            sharing.publish_nothing();
            return self.begin(now, outbox);
        };
        let found = sharing.read(&value, now, longest_fetch, Duration::ZERO, outbox);
        let Some((record, body)) = found else {
            return;
        };
        if self.adopt(&record, body, now, outbox)
            || self.write_publication(&record, body, version, outbox)
        {
            return;
        }
        let (Work::Wanted { .. } | Work::Claiming) = self.work else {
            return;
        };
        if record.lease.is_some_and(|lease| lease.until > now) {
            self.work = Work::Wanted {
                look: now.saturating_add(FOLLOW),
            };
        } else if let Some(failure) = record.failure.filter(|it| self.heeds(it, now)) {
            self.adopt_failure(failure, outbox);
        } else {
            self.claim(record, body, version, now, outbox);
        }
    }

    /// The shared entry was written as this worker had asked, or was not.
    pub(in crate::keys) fn handle_shared_written(
        &mut self,
        written: bool,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        if let Work::Claiming = self.work {
            if written {
                self.begin(now, outbox);
            } else {
                self.work = Work::Wanted {
                    look: now.saturating_add(FOLLOW),
                };
            }
            return;
        }
        if let Some(sharing) = &mut self.sharing {
            sharing.handle_written(written, outbox);
        }
    }

    /// This worker ends: a fetch that it has begun is left to another.
    pub(in crate::keys) fn handle_shutdown(&mut self, outbox: &mut Outbox<'_>) {
        if let Work::Fetching { lost_at, .. } = self.work {
            self.work = Work::Idle { next: lost_at };
            self.failures = 0;
            self.publish(Outcome::Failed, outbox);
        }
    }

    fn begin(&mut self, now: UnixNanos, outbox: &mut Outbox<'_>) {
        if let Work::Wanted { .. } | Work::Claiming = self.work {
            self.fetch(WellKnown::FIRST, now, outbox);
        }
    }

    fn longest_fetch(&self) -> Duration {
        let one = self.config.timings.timeout.saturating_add(CALLBACK_GRACE);
        one.saturating_mul(WellKnown::MOST)
    }

    /// Takes over a document that another worker has fetched later than this one.
    fn adopt(
        &mut self,
        record: &Record,
        body: &[u8],
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) -> bool {
        let Some(Freshness { begun, at, .. }) = record.fetched else {
            return false;
        };
        let newer = self.document.as_ref().is_none_or(|own| at > own.at);
        if !newer || discovery::check_issuer(body, &self.config.issuer).is_err() {
            return false;
        }
        if let Some(sharing) = &mut self.sharing {
            sharing.publish_nothing();
        }
        self.take_over(body.to_vec(), begun, at, now);
        outbox.wake();
        true
    }

    /// Returns whether this worker leaves it at a failure of another: until the next try, or as long as no
    /// request may ask for a first document.
    fn heeds(&self, failure: &Failure, now: UnixNanos) -> bool {
        let just_now = now.since(failure.at) < backoff::ON_REQUEST;
        failure.retry_at > now && (self.document.is_some() || just_now)
    }

    fn adopt_failure(&mut self, failure: Failure, outbox: &mut Outbox<'_>) {
        self.failures = failure.count.max(1);
        self.failed_at = Some(failure.at);
        self.work = Work::Idle {
            next: failure.retry_at,
        };
        outbox.wake();
    }

    fn claim(
        &mut self,
        record: Record,
        body: &[u8],
        version: u32,
        now: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) {
        let until = now.saturating_add(self.longest_fetch());
        let Some(sharing) = &self.sharing else {
            return;
        };
        if sharing.claim(record, body, version, until, outbox) {
            self.work = Work::Claiming;
        } else {
            self.begin(now, outbox);
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
        record.failure = match (self.failures, self.failed_at, &self.work) {
            (count @ 1.., Some(at), Work::Idle { next }) => Some(Failure {
                count,
                at,
                retry_at: *next,
            }),
            _ => None,
        };
        let document = match (outcome, &self.document) {
            (Outcome::Fetched(document), Some(Document { begun, at, .. })) => {
                record.fetched = Some(Freshness {
                    begun: *begun,
                    at: *at,
                    refresh: REFRESH,
                });
                document
            }
            (Outcome::Fetched(_), None) | (Outcome::Failed, _) => body,
        };
        sharing.write_outcome(record, document, version, outbox);
        true
    }
}
