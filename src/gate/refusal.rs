//! Why a request was refused, with what an operator wants to know of it.

use std::time::Duration;

use crate::ids::{IssuerId, ResourceId};
use crate::mcp::{Mismatch, RequestId};
use crate::reason::Reason;

/// Why a request was refused, and what an operator wants to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason: it decides the answer.
    pub reason: Reason,
    /// The resource that was asked for.
    pub resource: ResourceId,
    /// The issuer of the token, once it is known to be one of the resource's.
    pub issuer: Option<IssuerId>,
    /// The values that the configuration allows, where a comparison failed.
    pub expected: Option<String>,
    /// The value that was found in their place: from the token, escaped and cut.
    pub found: Option<String>,
    /// When the client may come again.
    pub retry_after: Option<Duration>,
    /// All scopes that the operation needs, where one is missing.
    pub needs: Option<Vec<String>>,
    /// The disagreement of headers and body, if that is the reason.
    pub mismatch: Option<MismatchedRequest>,
    /// The operation that is denied, where the request can be answered by an error of JSON-RPC.
    pub denied: Option<DeniedRequest>,
}

/// A single request whose operation is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeniedRequest {
    /// Its JSON-RPC id, to be repeated in the answer.
    pub id: RequestId,
    /// The operation that it asks for, escaped and cut.
    pub operation: String,
}

/// A request whose routing headers and body disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MismatchedRequest {
    /// The disagreement.
    pub mismatch: Mismatch,
    /// Its JSON-RPC id, to be repeated in the answer.
    pub id: Option<RequestId>,
}

impl Refusal {
    /// The refusal for this reason; all else that an operator wants to know is added to it.
    #[cold]
    pub(super) fn new(reason: Reason, resource: ResourceId) -> Box<Self> {
        Box::new(Self {
            reason,
            resource,
            issuer: None,
            expected: None,
            found: None,
            retry_after: None,
            needs: None,
            mismatch: None,
            denied: None,
        })
    }

    /// With the issuer of the token.
    pub(super) fn by(mut self: Box<Self>, issuer: IssuerId) -> Box<Self> {
        self.issuer = Some(issuer);
        self
    }

    /// With what is allowed and what was found.
    #[cold]
    pub(super) fn told(
        mut self: Box<Self>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Box<Self> {
        self.expected = Some(expected.into());
        self.found = Some(found.into());
        self
    }

    /// With what was found, where nothing can be said of what is allowed.
    #[cold]
    pub(super) fn found(mut self: Box<Self>, found: impl Into<String>) -> Box<Self> {
        self.found = Some(found.into());
        self
    }

    /// As logs have it. What is not known is `-`.
    pub fn evidence(&self) -> String {
        format!(
            "expected={} found={}",
            self.expected.as_deref().unwrap_or("-"),
            self.found.as_deref().unwrap_or("-"),
        )
    }
}
