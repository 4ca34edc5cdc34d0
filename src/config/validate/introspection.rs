//! How issuers are asked about tokens (RFC 7662).

use super::checks::{Result, not_empty, seconds, url, value, warn};
use crate::config::Issuer;
use crate::config::document::{self, IntrospectedTokens};
use crate::config::words::{quoted, quoted_url};
use crate::ids::IssuerId;
use crate::introspection::{EndpointSource, IntrospectionSource, Tokens};
use crate::url::HttpUrl;

pub(super) fn introspection(
    field: &str,
    written: &document::Introspection,
    issuer: &document::Issuer,
    identifier: HttpUrl,
    warnings: &mut Vec<String>,
) -> Result<IntrospectionSource> {
    let name = |name: &str| format!("{field}.{name}");
    let cluster = not_empty(&name("cluster"), written.cluster.clone())?;
    if issuer.cluster.as_ref() == Some(&cluster) || issuer.jwks_cluster.as_ref() == Some(&cluster) {
        let text = format!(
            "{} is also asked for metadata and keys: credentials that Envoy adds go with these, too",
            quoted(&cluster)
        );
        warn(warnings, &name("cluster"), &text);
    }
    let endpoint = match (&written.endpoint, &issuer.cluster) {
        (Some(text), _) => {
            let endpoint = url(&name("endpoint"), text, HttpUrl::parse_location)?;
            if endpoint.scheme() == "http" && !endpoint.is_loopback() {
                let text = format!("{} is not https: tokens are sent there", quoted_url(text));
                warn(warnings, &name("endpoint"), &text);
            }
            EndpointSource::Configured(endpoint)
        }
        (None, Some(cluster)) => EndpointSource::Discovered {
            cluster: cluster.clone(),
        },
        (None, None) => {
            return Err(value(
                &name("endpoint"),
                "none, and no `cluster` of the issuer to find it by",
                "the URL of the introspection endpoint",
            ));
        }
    };
    let tokens = match written.tokens {
        IntrospectedTokens::Opaque => Tokens::Opaque,
        IntrospectedTokens::All => Tokens::All,
    };
    if tokens == Tokens::All && issuer.cluster.is_none() && issuer.jwks.is_none() {
        return Err(value(
            &name("tokens"),
            "all, for an issuer without `cluster` and `jwks`",
            "opaque: JWTs are asked about as well as verified, which needs keys",
        ));
    }
    Ok(IntrospectionSource {
        issuer: identifier,
        cluster,
        endpoint,
        tokens,
        cache: seconds(&name("cache_seconds"), written.cache_seconds)?,
        require_audience: written.require_audience,
        timeout: seconds(
            &format!("{field}.keys.timeout_seconds"),
            issuer.keys.timeout_seconds,
        )?,
    })
}

/// An opaque token names no issuer, so a resource has one that is asked; and what a token is for must
/// be told by its audience or its scopes.
pub(super) fn of_resource(
    field: &str,
    scopes: &[String],
    ids: &[IssuerId],
    issuers: &[Issuer],
    warnings: &mut Vec<String>,
) -> Result<()> {
    let accepted = ids.iter().filter_map(|id| issuers.get(id.0));
    let mut asked = accepted.filter_map(|issuer| Some((issuer, issuer.introspection.as_ref()?)));
    let Some((issuer, source)) = asked.next() else {
        return Ok(());
    };
    let names = quoted_url(&issuer.policy.issuer);
    if let Some((other, _)) = asked.next() {
        return Err(value(
            &format!("{field}.issuers"),
            &format!(
                "two with `introspection`: {names} and {}",
                quoted_url(&other.policy.issuer)
            ),
            "at most one with `introspection`: an opaque token does not say whose it is",
        ));
    }
    if !source.require_audience {
        if scopes.is_empty() {
            return Err(value(
                &format!("{field}.scopes"),
                &format!("none, where {names} may leave out audiences (`require_audience`)"),
                "at least one scope that tells tokens for this resource from others",
            ));
        }
        let text = format!(
            "any token of {names} with these scopes is good here, for whomever it was issued: its `introspection.require_audience` is false"
        );
        warn(warnings, &format!("{field}.scopes"), &text);
    }
    Ok(())
}
