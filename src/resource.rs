//! The protected resources: which one a request belongs to, and what its metadata says.

pub mod host;
pub mod metadata;
pub mod path;
#[cfg(test)]
mod tests;
pub mod withheld;

use std::borrow::Cow;

use crate::claim::{CallerFact, ClaimRule, IdentityHeader};
use crate::ids::{IssuerId, ResourceId};
use crate::mcp::{Needs, Operation, OperationRule};
use crate::reason::Reason;
use crate::scope::ScopeHierarchy;
use crate::template::Template;

use crate::template::Bindings;
use host::{Admission, Authority, Hosts};
use metadata::MirrorMatch;
use path::{PathMatch, PathPattern, RequestPath};

/// The place of a resource's metadata (RFC 9728 §3.1): between host and path.
pub const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// A protected resource (RFC 9728 §1.2) and what it asks of a request.
#[derive(Debug)]
pub struct Resource {
    /// The identifier as configured: the label of logs and counters.
    pub label: String,
    /// The identifier (RFC 8707 §2): the audience of its tokens.
    pub identifier: Template,
    /// The paths that belong to it.
    pub pattern: PathPattern,
    /// The hosts that it is served on.
    pub hosts: Hosts,
    /// The issuers whose tokens it accepts.
    pub issuers: Vec<IssuerId>,
    /// The scopes that every request needs.
    pub scopes: Vec<String>,
    /// The needs of single operations beyond that.
    pub operations: Vec<OperationRule>,
    /// `true` if lists lose the entries that their reader may not use.
    pub filter_lists: bool,
    /// Which scopes imply others.
    pub scope_hierarchy: ScopeHierarchy,
    /// The values that claims must have.
    pub require_claims: Vec<ClaimRule>,
    /// The only origins of browsers that are served; `None` for all.
    pub allowed_origins: Option<Vec<String>>,
    /// The facts of the caller that filter state has.
    pub filter_state: Vec<CallerFact>,
    /// The headers that tell the server of the caller.
    pub identity_headers: Vec<IdentityHeader>,
    /// The headers that it gets from nobody else.
    pub withheld: withheld::Withheld,
    /// `true` if the server gets the token itself.
    pub forward_token: bool,
    /// `true` if CORS is answered here.
    pub cors: bool,
    /// The metadata document, and its place.
    pub metadata: metadata::Metadata,
    /// The metadata of an issuer of its, served on its hosts.
    pub mirror: Option<metadata::Mirror>,
}

impl Resource {
    /// Returns whether a token with the scopes `granted` has what the rules ask for this operation.
    pub fn allows(&self, operation: &Operation, granted: &[String]) -> bool {
        self.operations
            .iter()
            .filter(|rule| rule.matches(operation))
            .all(|rule| match &rule.needs {
                Needs::Nothing => false,
                Needs::Scopes(scopes) => scopes
                    .iter()
                    .all(|scope| self.scope_hierarchy.grants(granted, scope)),
            })
    }
}

/// The resource that a request is for, and what of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// No resource: none of our business.
    Foreign,
    /// A resource's metadata document.
    Metadata(ResourceId, Bindings),
    /// The metadata of an issuer, mirrored on a resource's host; `None` for a path below it.
    Mirror(ResourceId, Option<IssuerId>),
    /// A resource itself.
    Protected(ResourceId, Bindings),
    /// It cannot be told for certain, and might be for this resource.
    Unclear(ResourceId, Reason),
}

impl Route {
    /// The resource that the request is for, with what the variables of its path stand for.
    pub(crate) fn resource(&self) -> Option<(ResourceId, &Bindings)> {
        match self {
            Self::Foreign => None,
            Self::Metadata(id, bindings) | Self::Protected(id, bindings) => Some((*id, bindings)),
            Self::Mirror(id, _) | Self::Unclear(id, _) => Some((*id, Bindings::NONE)),
        }
    }
}

/// The resource that a request is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) id: ResourceId,
    pub(crate) resource: &'a Resource,
    /// The values of the variables of its path.
    pub(crate) bindings: &'a Bindings,
}

impl Target<'_> {
    /// The resource's identifier, as tokens for this request name it.
    pub(crate) fn identifier(&self) -> Cow<'_, str> {
        self.resource.identifier.render(self.bindings)
    }
}

/// The resources of a configuration, and where they stand.
#[derive(Debug)]
pub struct Resources {
    all: Vec<Resource>,
    /// The most specific path first.
    by_specificity: Vec<ResourceId>,
    /// The paths at which resources stand: most requests have just such a one, and need not be taken
    /// apart to know whose it is.
    usual_paths: Vec<(String, ResourceId)>,
}

impl std::ops::Deref for Resources {
    type Target = [Resource];

    fn deref(&self) -> &[Resource] {
        &self.all
    }
}

impl Resources {
    /// From resources whose ids are their places in the list.
    pub fn new(all: Vec<Resource>) -> Self {
        let mut by_specificity: Vec<ResourceId> = Vec::with_capacity(all.len());
        let specificity = |id: &ResourceId| all.get(id.0).map(|one| one.pattern.specificity());
        for id in (0..all.len()).map(ResourceId) {
            let mut others = by_specificity.iter();
            let at = others.position(|other| specificity(other) < specificity(&id));
            by_specificity.insert(at.unwrap_or(by_specificity.len()), id);
        }
        let mut resources = Self {
            all,
            by_specificity,
            usual_paths: Vec::new(),
        };
        resources.usual_paths = resources.usual();
        resources
    }

    /// As resources are placed where no authority is read.
    fn usual(&self) -> Vec<(String, ResourceId)> {
        let usual = self.all.iter().filter_map(|resource| {
            let path = resource.pattern.literal()?;
            match self.place(path.as_bytes(), Authority::NotRead) {
                Route::Protected(id, bindings) => {
                    (bindings == Bindings::default()).then_some((path, id))
                }
                Route::Foreign | Route::Metadata(..) | Route::Mirror(..) | Route::Unclear(..) => {
                    None
                }
            }
        });
        usual.collect()
    }

    /// The resource with this place.
    pub fn by_id(&self, id: ResourceId) -> Option<&Resource> {
        self.all.get(id.0)
    }

    /// The resource that a request is for of which nothing is known.
    pub fn most_specific(&self) -> Option<ResourceId> {
        self.by_specificity.first().copied()
    }

    fn mirrored(&self, path: &RequestPath<'_>, authority: Authority<'_>) -> Route {
        let mut found = Route::Foreign;
        for id in &self.by_specificity {
            let Some(resource) = self.by_id(*id) else {
                continue;
            };
            let Some(mirror) = &resource.mirror else {
                continue;
            };
            if resource.hosts.admit(authority) != Admission::Granted {
                continue;
            }
            match mirror.matches(path) {
                MirrorMatch::Document => return Route::Mirror(*id, Some(mirror.issuer)),
                MirrorMatch::Below => found = Route::Mirror(*id, None),
                MirrorMatch::None => {}
            }
        }
        found
    }

    /// Finds whom a request is for. `authority` is looked at where a resource has `hosts`.
    ///
    /// Of several resources the most specific one wins; one reading of the path that might belong to
    /// any resource makes the whole request unclear.
    pub fn route(&self, path: &[u8], authority: Authority<'_>) -> Route {
        let mut usual = self.usual_paths.iter();
        let usual = usual.find(|(usual, _)| usual.as_bytes() == path);
        match usual.map(|(_, id)| *id) {
            Some(id) if authority == Authority::NotRead => {
                Route::Protected(id, Bindings::default())
            }
            Some(_) | None => self.place(path, authority),
        }
    }

    fn place(&self, path: &[u8], authority: Authority<'_>) -> Route {
        let path = &RequestPath::new(path);
        let served = |id: &ResourceId| self.by_id(*id).map(|resource| (*id, resource));
        for (id, resource) in self.by_specificity.iter().filter_map(served) {
            if resource.hosts.admit(authority) == Admission::Granted
                && let Some(bindings) = resource.metadata.request(path, self.all.len() == 1)
            {
                return Route::Metadata(id, bindings);
            }
        }
        let mirrored = self.mirrored(path, authority);
        if mirrored != Route::Foreign {
            return mirrored;
        }
        let mut found = Route::Foreign;
        let mut is_suffixed = None;
        for (id, resource) in self.by_specificity.iter().filter_map(served) {
            let admission = resource.hosts.admit(authority);
            if admission == Admission::Denied {
                continue;
            }
            let (bindings, suffixed) = match path.matches(&resource.pattern) {
                PathMatch::None => continue,
                PathMatch::Ambiguous => return Route::Unclear(id, Reason::PathAmbiguous),
                PathMatch::Exact(_) | PathMatch::Suffixed(_) if admission == Admission::Unclear => {
                    return Route::Unclear(id, Reason::HostInvalid);
                }
                PathMatch::Exact(bindings) => (bindings, None),
                PathMatch::Suffixed(bindings) => (bindings, Some(resource.pattern.specificity())),
            };
            // `/v1.1` is its own resource beside `/v1`, but `/mcp.json` is nobody's beside `/` and `/mcp`.
            let is_named =
                suffixed.is_none() && is_suffixed == Some(resource.pattern.specificity());
            if found == Route::Foreign || is_named {
                found = Route::Protected(id, bindings);
                is_suffixed = suffixed;
            } else if is_suffixed.is_some() {
                return Route::Unclear(id, Reason::PathAmbiguous);
            }
        }
        found
    }
}
