//! Counters and gauges. What requests count is told to the host with the next tick, so that it costs
//! them nothing. A name carries its labels, `name;label=value;…`, which Envoy's
//! `stats_tags` take apart.

use log::error;

use super::host::{Host, HostError, MetricId, MetricKind};
use crate::config::Config;
use crate::gate::Decision;
use crate::ids::{IssuerId, ResourceId};
use crate::introspection;
use crate::keys::{Event, KeyStatus};
use crate::reason::Reason;
use crate::sorted_map::SortedMap;

/// In the order of `Metrics::decided`.
const DECISIONS: [&str; 7] = [
    "pass",
    "answer",
    "allow",
    "refuse",
    "observe",
    "preflight",
    "off",
];
/// The place of `refuse`.
const REFUSE: usize = 3;

/// The metrics of one worker. Series are bounded: labels come from the configuration and from
/// closed sets.
#[derive(Default)]
pub(super) struct Metrics {
    defined: SortedMap<Series, Result<MetricId, HostError>>,
    /// What was counted since the last [`Metrics::flush`].
    decided: [u64; DECISIONS.len()],
    refused: SortedMap<Series, u64>,
    /// How many wait in this worker: the gauge is the sum of all workers.
    held: usize,
    /// How many bytes of bodies are held in this worker.
    held_body_bytes: usize,
    status: SortedMap<IssuerId, KeyStatus>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Series {
    Requests(&'static str),
    Refused {
        reason: &'static str,
        resource: Option<ResourceId>,
        issuer: Option<IssuerId>,
    },
    Fetches {
        issuer: IssuerId,
        result: &'static str,
    },
    Introspections {
        issuer: IssuerId,
        result: &'static str,
    },
    SkippedKeys {
        issuer: IssuerId,
    },
    StaleUses {
        issuer: IssuerId,
    },
    Keys {
        issuer: IssuerId,
    },
    KeyAge {
        issuer: IssuerId,
    },
    Held,
    HeldBodyBytes,
}

impl Metrics {
    pub(super) fn count(&mut self, decision: &Decision) {
        let at = match decision {
            Decision::Pass => 0,
            Decision::Answer(_) => 1,
            Decision::Allow(_) => 2,
            Decision::Refuse(..) => REFUSE,
            Decision::Observe(..) | Decision::Unanswered(_) => 4,
            Decision::Preflight(_) => 5,
            Decision::Off => 6,
            Decision::Wait(_) | Decision::ReadBody(_) => return,
        };
        self.count_decided(at);
        if let Decision::Refuse(refusal, _) | Decision::Observe(refusal, _) = decision {
            self.count_refused(refusal.reason, Some(refusal.resource), refusal.issuer);
        }
    }

    /// A request that the host did not let the filter judge.
    pub(super) fn count_internal(&mut self) {
        self.count_decided(REFUSE);
        self.count_refused(Reason::Internal, None, None);
    }

    fn count_decided(&mut self, at: usize) {
        if let Some(count) = self.decided.get_mut(at) {
            *count = count.saturating_add(1);
        }
    }

    fn count_refused(
        &mut self,
        reason: Reason,
        resource: Option<ResourceId>,
        issuer: Option<IssuerId>,
    ) {
        let series = Series::Refused {
            reason: reason.label(),
            resource,
            issuer,
        };
        if let Some(count) = self.refused.get_mut(series) {
            *count = count.saturating_add(1);
        } else {
            self.refused.insert(series, 1);
        }
    }

    /// Tells the host what was counted.
    pub(super) fn flush(&mut self, host: &impl Host, config: &Config) {
        let decided = std::mem::take(&mut self.decided);
        let decided = DECISIONS
            .iter()
            .map(|label| Series::Requests(label))
            .zip(decided);
        let refused = self.refused.take(|_| true);
        for (series, count) in decided.chain(refused) {
            if count > 0 {
                self.add(
                    host,
                    config,
                    series,
                    i64::try_from(count).unwrap_or(i64::MAX),
                );
            }
        }
    }

    pub(super) fn key_event(
        &mut self,
        host: &impl Host,
        config: &Config,
        issuer: IssuerId,
        event: &Event,
    ) {
        let (series, by) = match event {
            Event::Refreshed { .. } => (
                Series::Fetches {
                    issuer,
                    result: "ok",
                },
                1,
            ),
            Event::FetchFailed { error, .. } => (
                Series::Fetches {
                    issuer,
                    result: error.label(),
                },
                1,
            ),
            Event::KeySkipped(_) => (Series::SkippedKeys { issuer }, 1),
            Event::StaleUse { verdicts } => (Series::StaleUses { issuer }, *verdicts),
            Event::Adopted { .. } | Event::MetadataFailed { .. } => return,
        };
        self.add(host, config, series, i64::try_from(by).unwrap_or(i64::MAX));
    }

    pub(super) fn introspection_event(
        &mut self,
        host: &impl Host,
        config: &Config,
        issuer: IssuerId,
        event: &introspection::Event,
    ) {
        use introspection::Event;
        let (result, by) = match event {
            Event::Answered { active: true } => ("active", 1),
            Event::Answered { active: false } => ("inactive", 1),
            Event::Failed { error, .. } => (error.label(), 1),
            Event::TurnedAway { questions } => ("turned_away", *questions),
            Event::EndpointFailed { .. } => ("no_endpoint", 1),
            Event::EndpointFound { .. } => return,
        };
        let series = Series::Introspections { issuer, result };
        let by = i64::try_from(by).unwrap_or(i64::MAX);
        self.add(host, config, series, by);
    }

    pub(super) fn key_status(
        &mut self,
        host: &impl Host,
        config: &Config,
        issuer: IssuerId,
        status: KeyStatus,
    ) {
        let seconds = |status: KeyStatus| status.age.map(|age| age.as_secs());
        let before = self.status.get(issuer).copied();
        self.status.insert(issuer, status);
        if before.is_none_or(|before| before.keys != status.keys) {
            let keys = u64::try_from(status.keys).unwrap_or(u64::MAX);
            self.record(host, config, Series::Keys { issuer }, keys);
        }
        if let Some(age) = seconds(status)
            && before.and_then(seconds) != Some(age)
        {
            self.record(host, config, Series::KeyAge { issuer }, age);
        }
    }

    pub(super) fn held(&mut self, host: &impl Host, config: &Config, count: usize) {
        let before = std::mem::replace(&mut self.held, count);
        self.change(host, config, Series::Held, before, count);
    }

    pub(super) fn held_body_bytes(&mut self, host: &impl Host, config: &Config, bytes: usize) {
        let before = std::mem::replace(&mut self.held_body_bytes, bytes);
        self.change(host, config, Series::HeldBodyBytes, before, bytes);
    }

    /// Changes this worker's part of a gauge.
    fn change(
        &mut self,
        host: &impl Host,
        config: &Config,
        series: Series,
        before: usize,
        now: usize,
    ) {
        let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let change = signed(now).saturating_sub(signed(before));
        if change != 0 {
            self.add(host, config, series, change);
        }
    }

    fn add(&mut self, host: &impl Host, config: &Config, series: Series, by: i64) {
        if let Ok(metric) = self.metric(host, config, series)
            && host.add_to_metric(metric, by).is_err()
        {
            error!("the host refused a metric");
        }
    }

    fn record(&mut self, host: &impl Host, config: &Config, series: Series, value: u64) {
        if let Ok(metric) = self.metric(host, config, series)
            && host.set_metric(metric, value).is_err()
        {
            error!("the host refused a gauge");
        }
    }

    fn metric(
        &mut self,
        host: &impl Host,
        config: &Config,
        series: Series,
    ) -> Result<MetricId, HostError> {
        if let Some(defined) = self.defined.get(series) {
            return *defined;
        }
        let kind = match series {
            Series::Requests(_)
            | Series::Refused { .. }
            | Series::Fetches { .. }
            | Series::Introspections { .. }
            | Series::SkippedKeys { .. }
            | Series::StaleUses { .. } => MetricKind::Counter,
            Series::Keys { .. } | Series::KeyAge { .. } | Series::Held | Series::HeldBodyBytes => {
                MetricKind::Gauge
            }
        };
        let defined = host.define_metric(kind, &series.name(config));
        self.defined.insert(series, defined);
        defined
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
                let resource = resource
                    .and_then(|id| config.resource(id))
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
            Self::Introspections { issuer: id, result } => {
                format!(
                    "mcp_auth_introspections_total;issuer={};result={result}",
                    issuer(id)
                )
            }
            Self::SkippedKeys { issuer: id } => {
                format!("mcp_auth_keys_skipped_total;issuer={}", issuer(id))
            }
            Self::StaleUses { issuer: id } => {
                format!("mcp_auth_stale_keys_used_total;issuer={}", issuer(id))
            }
            Self::Keys { issuer: id } => format!("mcp_auth_keys;issuer={}", issuer(id)),
            Self::KeyAge { issuer: id } => {
                format!("mcp_auth_keys_age_seconds;issuer={}", issuer(id))
            }
            Self::Held => "mcp_auth_held_requests".to_owned(),
            Self::HeldBodyBytes => "mcp_auth_held_body_bytes".to_owned(),
        }
    }
}

/// A URL as a label: what separates labels is replaced.
fn label(text: &str) -> String {
    text.replace([';', '='], "_")
}
