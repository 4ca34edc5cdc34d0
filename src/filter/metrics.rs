//! Counters and gauges. A name carries its labels, `name;label=value;…`, which Envoy's
//! `stats_tags` take apart.

use std::collections::BTreeMap;

use super::host;
use crate::config::{Config, IssuerId, ResourceId};
use crate::gate::{Decision, Refusal};
use crate::keys::Event;

/// The metrics of one worker. Series are bounded: labels come from the configuration and from
/// closed sets.
#[derive(Default)]
pub(super) struct Metrics {
    defined: BTreeMap<Series, Option<u32>>,
    held: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Series {
    Requests(&'static str),
    Refused {
        reason: &'static str,
        resource: ResourceId,
        issuer: Option<IssuerId>,
    },
    Fetches {
        issuer: IssuerId,
        result: &'static str,
    },
    SkippedKeys {
        issuer: IssuerId,
    },
}

impl Metrics {
    pub(super) fn decided(&mut self, config: &Config, decision: &Decision) {
        let label = match decision {
            Decision::Pass => "pass",
            Decision::Answer(_) => "answer",
            Decision::Allow(_) => "allow",
            Decision::Refuse(..) => "refuse",
            Decision::Observe(..) => "observe",
            Decision::Wait(_) => return,
        };
        self.count(config, Series::Requests(label));
        if let Decision::Refuse(refusal, _) | Decision::Observe(refusal, _) = decision {
            self.refused(config, refusal);
        }
    }

    pub(super) fn key_event(&mut self, config: &Config, issuer: IssuerId, event: &Event) {
        let series = match event {
            Event::Refreshed { .. } => Series::Fetches {
                issuer,
                result: "ok",
            },
            Event::FetchFailed { .. } => Series::Fetches {
                issuer,
                result: "failed",
            },
            Event::KeySkipped(_) => Series::SkippedKeys { issuer },
        };
        self.count(config, series);
    }

    pub(super) fn held(&mut self, count: usize) {
        if self.held.is_none() {
            self.held = host::define_gauge("mcp_auth_held_requests");
        }
        if let Some(gauge) = self.held {
            host::record(gauge, u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    fn refused(&mut self, config: &Config, refusal: &Refusal) {
        let series = Series::Refused {
            reason: refusal.reason.label(),
            resource: refusal.resource,
            issuer: refusal.issuer,
        };
        self.count(config, series);
    }

    fn count(&mut self, config: &Config, series: Series) {
        let metric = *self
            .defined
            .entry(series)
            .or_insert_with(|| host::define_counter(&series.name(config)));
        if let Some(metric) = metric {
            host::count(metric);
        }
    }
}

impl Series {
    fn name(self, config: &Config) -> String {
        let issuer = |id: IssuerId| {
            config
                .issuer(id)
                .map(|issuer| label(&issuer.policy.issuer))
                .unwrap_or_default()
        };
        match self {
            Self::Requests(decision) => format!("mcp_auth_requests_total;decision={decision}"),
            Self::Refused {
                reason,
                resource,
                issuer: id,
            } => {
                let resource = config
                    .resource(resource)
                    .map(|resource| label(&resource.label))
                    .unwrap_or_default();
                let issuer = id.map(issuer).unwrap_or_default();
                format!(
                    "mcp_auth_refused_total;reason={reason};resource={resource};issuer={issuer}"
                )
            }
            Self::Fetches { issuer: id, result } => {
                format!(
                    "mcp_auth_key_fetches_total;issuer={};result={result}",
                    issuer(id)
                )
            }
            Self::SkippedKeys { issuer: id } => {
                format!("mcp_auth_keys_skipped_total;issuer={}", issuer(id))
            }
        }
    }
}

/// A URL as a label: what separates labels is replaced.
fn label(text: &str) -> String {
    text.replace([';', '='], "_")
}
