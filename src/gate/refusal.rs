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
    /// What the configuration allows, where a comparison failed.
    pub expected: Option<String>,
    /// What was found in its place: from the token, escaped and cut.
    pub found: Option<String>,
    /// When the client may come again.
    pub retry_after: Option<Duration>,
    /// All scopes that the operation needs, where one is missing.
    pub needs: Option<Vec<String>>,
    /// How headers and body disagree, if that is the reason.
    pub mismatch: Option<MismatchedRequest>,
    /// The operation that is denied, where the request can be answered by an error of JSON-RPC.
    pub denied: Option<DeniedRequest>,
}

/// A single request whose operation is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeniedRequest {
    /// Its JSON-RPC id, to be repeated in the answer.
    pub id: RequestId,
    /// What it asks for, escaped and cut.
    pub operation: String,
}

/// A request whose routing headers and body disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MismatchedRequest {
    /// How.
    pub mismatch: Mismatch,
    /// Its JSON-RPC id, to be repeated in the answer.
    pub id: Option<RequestId>,
}
