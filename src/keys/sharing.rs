//! One worker's part in an entry that the workers of one Envoy share.
//!
//! A worker that wants a fetch reads the shared entry first. A document that another one has fetched
//! since is taken over. Who finds no lease bids for it by compare-and-swap; who loses, or finds
//! one, looks again soon. The winner fetches, and writes what came of it, without a lease. A lease
//! that its owner never gives back runs out.

use std::time::Duration;

use super::RemoteKeys;
use super::backoff;
use super::command::Outbox;
use super::shared::{Lease, LongestTimes, MOST_TRIES, Place, Record, Subject};
use crate::time::UnixNanos;

/// One worker's part in a shared entry.
#[derive(Debug)]
pub(super) struct Sharing {
    place: Place,
    /// The number of this worker among the others.
    worker: u64,
    publication: Option<Publication>,
}

/// The outcome that is to be written when a fetch has ended.
#[derive(Debug)]
struct Publication {
    outcome: Outcome,
    tries: u8,
}

/// The end of a fetch, for the others to know.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It brought this document.
    Fetched(Vec<u8>),
    Failed,
}

impl Sharing {
    pub(super) fn new(subject: Subject, config: &RemoteKeys, worker: u64) -> Self {
        Self {
            place: Place::of(subject, config),
            worker,
            publication: None,
        }
    }

    /// Asks for the shared entry.
    pub(super) fn look(&self, outbox: &mut Outbox<'_>) {
        outbox.read_shared(self.place.key());
    }

    /// The entry's head and document; `None` if it must be looked for elsewhere, which is under way.
    pub(super) fn read<'v>(
        &mut self,
        value: &'v [u8],
        now: UnixNanos,
        longest_fetch: Duration,
        longest_location: Duration,
        outbox: &mut Outbox<'_>,
    ) -> Option<(Record, &'v [u8])> {
        let longest = LongestTimes {
            lease: longest_fetch,
            retry: backoff::LONGEST.saturating_mul(2),
            location: longest_location,
        };
        let found = self.place.read(value, now, longest);
        if found.is_none() {
            self.look(outbox);
        }
        found
    }

    /// The fetch has ended: the others are told.
    pub(super) fn publish(&mut self, outcome: Outcome, outbox: &mut Outbox<'_>) {
        self.publication = Some(Publication {
            outcome,
            tries: MOST_TRIES,
        });
        self.look(outbox);
    }

    /// Others know better, or cannot be told.
    pub(super) fn publish_nothing(&mut self) {
        self.publication = None;
    }

    /// The outcome that the others are still to be told.
    pub(super) fn unpublished(&self) -> Option<&Outcome> {
        self.publication.as_ref().map(|it| &it.outcome)
    }

    /// Bids for the lease; `false` if that cannot be written.
    pub(super) fn claim(
        &self,
        mut record: Record,
        body: &[u8],
        version: u32,
        until: UnixNanos,
        outbox: &mut Outbox<'_>,
    ) -> bool {
        record.lease = Some(Lease {
            owner: self.worker,
            until,
        });
        self.write(&record, body, version, outbox)
    }

    /// Writes what came of a fetch, without the lease for it.
    pub(super) fn write_outcome(
        &self,
        mut record: Record,
        body: &[u8],
        version: u32,
        outbox: &mut Outbox<'_>,
    ) {
        record.lease.take_if(|lease| lease.owner == self.worker);
        self.write(&record, body, version, outbox);
    }

    fn write(&self, record: &Record, body: &[u8], version: u32, outbox: &mut Outbox<'_>) -> bool {
        let value = record.write(body);
        let is_written = value.is_some();
        if let Some(value) = value {
            outbox.write_shared(self.place.key(), value, version);
        }
        is_written
    }

    /// The outcome was written, or others were faster: then it is tried again.
    pub(super) fn handle_written(&mut self, written: bool, outbox: &mut Outbox<'_>) {
        match &mut self.publication {
            // The lease runs out by itself if the others write faster.
            Some(publication) if !written && publication.tries > 0 => {
                publication.tries = publication.tries.saturating_sub(1);
                self.look(outbox);
            }
            Some(_) | None => self.publication = None,
        }
    }
}
