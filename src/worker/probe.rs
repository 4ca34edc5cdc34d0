//! Whether the host calls with the bodies of requests whose headers wait (see `body_reads`).

use log::warn;

use super::Worker;
use super::body_reads::Delivery;
use super::host::Host;
use super::stream::{Callback, Stream};

impl<H: Host> Worker<H> {
    /// Finds out whether the host withholds bodies, and sends headers on if it does: up to `most`,
    /// the rest at the next tick.
    pub(super) fn probe_bodies(&mut self, most: usize) {
        if self.bodies.delivery == Delivery::Unknown && self.any_body_withheld() {
            self.bodies.delivery = Delivery::Withheld;
            warn!(
                "operations: the host holds bodies back while headers wait, so headers are sent on \
                 before the body is judged; set `allow_on_headers_stop_iteration` for this plugin"
            );
        }
        if self.bodies.delivery == Delivery::Withheld {
            let holding: Vec<Stream> = self.bodies.holding_headers().take(most).collect();
            for stream in holding {
                self.on_behalf_of(stream.id, |worker| {
                    worker.forward_headers(&stream, Callback::Root);
                });
            }
        }
    }

    /// Whether the host has received something of a body that it did not call with.
    fn any_body_withheld(&mut self) -> bool {
        let holding: Vec<Stream> = self.bodies.holding_headers().collect();
        holding.into_iter().any(|stream| {
            let mut more = false;
            self.on_behalf_of(stream.id, |worker| {
                more = worker.bodies.has_more(stream.id, &worker.enforcer.host);
            });
            more
        })
    }
}
