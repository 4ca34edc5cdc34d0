//! The work of a tick, and when the next one is due.

use std::time::Duration;

use log::error;

use super::Worker;
use super::body_reads::Delivery;
use super::enforcer::Enforcer;
use super::host::Host;
use super::stream::{Callback, Turn};
use super::wait_queue::Due;
use crate::config::Mode;
use crate::ids::StreamId;
use crate::reason::Reason;
use crate::time::UnixNanos;
use crate::trust::Awaited;

/// The longest time between two ticks: a wall clock may jump, and nothing else wakes the root.
pub(super) const LONGEST_TICK: Duration = Duration::from_secs(1);
/// The shortest one: how long a stream's wish for a fetch waits for the root.
pub(super) const SHORTEST_TICK: Duration = Duration::from_millis(1);
/// How often it is asked whether bodies come without a call.
pub(super) const PROBE: Duration = Duration::from_millis(5);

/// How many streams one callback answers or resumes.
///
/// Envoy does so once the callback has returned, and within it: the answer to a stream calls the
/// module, the answer to the next one comes at the end of that call, and so on. About 305 of them
/// end the stack, and with it the VM. So it is done in ticks alone, and with a margin of ten.
pub(super) const AT_ONCE: usize = 30;

impl<H: Host> Worker<H> {
    /// Time has passed. Called in the context of the root.
    pub fn tick(&mut self) {
        let Some(now) = self.now() else {
            return;
        };
        self.trust.keys.handle_tick(now);
        self.trust.introspection.handle_tick(now);
        self.run_commands(now);
        let left = self.resume(AT_ONCE);
        let left = self.decide_due(now, left);
        let left = self.refuse_overdue_bodies(now, left);
        self.probe_bodies(left);
        self.behind = left == 0;
        let Enforcer {
            host,
            metrics,
            refusals,
        } = &mut self.enforcer;
        metrics.held_body_bytes(host, &self.config, self.bodies.held_bytes());
        metrics.flush(host, &self.config);
        refusals.tick(now);
        self.responses.tick(now);
        for (issuer, status) in self.trust.keys.status(now) {
            metrics.key_status(host, &self.config, issuer, status);
        }
        self.plan(now);
    }

    /// Resumes up to `most` of those whose turn it is; returns how many more it could have been.
    fn resume(&mut self, most: usize) -> usize {
        let resumed: Vec<StreamId> = self
            .resuming
            .drain(..most.min(self.resuming.len()))
            .collect();
        let left = most.saturating_sub(resumed.len());
        for stream in resumed {
            self.on_behalf_of(stream, |worker| {
                if worker.enforcer.host.resume_request().is_err() {
                    error!("the host did not resume a request");
                }
            });
        }
        left
    }

    /// Decides on up to `most` of those that need not wait any longer; returns how many more it
    /// could have been. The rest has its turn at the next tick, which [`Worker::plan`] brings near.
    fn decide_due(&mut self, now: UnixNanos, most: usize) -> usize {
        let due = self.waiting.take_due(now, most);
        let left = most.saturating_sub(due.len());
        for Due {
            stream,
            awaited,
            deadline,
            woken,
            request,
        } in due
        {
            let reason = match awaited {
                Awaited::Keys(_) => Reason::KeysUnavailable,
                Awaited::Answer(..) => Reason::IntrospectionUnavailable,
            };
            self.on_behalf_of(stream, |worker| {
                if woken {
                    worker.decide(request, Turn::Again { deadline, now });
                } else {
                    worker.refuse(request, reason, now, Callback::Root);
                }
            });
        }
        self.count_waiting();
        left
    }

    /// Refuses up to `most` requests whose body has not ended in time; returns how many more it
    /// could have been.
    fn refuse_overdue_bodies(&mut self, now: UnixNanos, most: usize) -> usize {
        let overdue = self.bodies.take_overdue(now, most);
        let left = most.saturating_sub(overdue.len());
        for stream in overdue {
            if self.config.mode == Mode::Observe {
                // It goes on with its next piece: Envoy before 1.39.1 loses that if it is resumed
                // from here.
                self.bodies.mark_late(stream);
            } else {
                self.on_behalf_of(stream, |worker| {
                    worker.refuse_body(stream, Reason::BodyTimeout, now, Callback::Root);
                });
            }
        }
        left
    }

    /// Sets the next tick to when something is to be done.
    pub(super) fn plan(&self, now: UnixNanos) {
        let holds_headers = || self.bodies.holding_headers().next().is_some();
        let probe = match self.bodies.delivery {
            Delivery::Unknown => holds_headers().then(|| now.saturating_add(PROBE)),
            Delivery::Withheld => holds_headers().then_some(now),
            Delivery::Delivered => None,
        };
        let next = [
            self.trust.keys.poll_timeout(),
            self.trust.introspection.poll_timeout(),
            self.waiting.poll_timeout(),
            probe,
            self.behind.then_some(now),
        ]
        .into_iter()
        .flatten()
        .min();
        let wait = next.map_or(LONGEST_TICK, |next| next.since(now));
        let wait = wait.clamp(SHORTEST_TICK, LONGEST_TICK);
        self.tick_every(wait);
    }

    pub(super) fn plan_now(&self) {
        self.tick_every(SHORTEST_TICK);
    }

    fn tick_every(&self, wait: Duration) {
        if self.enforcer.host.tick_every(wait).is_err() {
            error!("the host refused a tick period");
        }
    }

    /// Runs `act` in the context of a stream, then returns to the root's.
    pub(super) fn on_behalf_of(&mut self, stream: StreamId, act: impl FnOnce(&mut Self)) {
        if self.enforcer.host.act_for(stream).is_ok() {
            act(self);
        }
        if self.enforcer.host.act_for_root().is_err() {
            error!("the host does not know the root context");
        }
    }
}
