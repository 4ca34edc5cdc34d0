//! The official Rust SDK as a client that a test drives over stdin and stdout: see ../clients.py
//! for what is said there.
//!
//!     rmcp-client '{"url": "http://127.0.0.1:8080/mcp", "era": "2026-07-28"}'
//!
//! The SDK refreshes tokens by itself, and reports what it cannot do without a person. What is in
//! this file beyond that is what every application has to do.

use std::error::Error;

use rmcp::{
    ServiceExt as _,
    model::{CallToolRequestParams, ProtocolVersion},
    service::{
        ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _, RoleClient,
        RunningService, ServiceError,
    },
    transport::{
        StreamableHttpClientTransport,
        auth::{
            AuthClient, AuthorizationCallback, AuthorizationManager, AuthorizationRequest,
            OAuthState, WWWAuthenticateParams,
        },
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};

type Anything = Box<dyn Error + Send + Sync>;

struct Driver {
    options: Value,
    lines: Lines<BufReader<Stdin>>,
    http: AuthClient<reqwest::Client>,
    connected: Option<RunningService<RoleClient, ()>>,
}

impl Driver {
    async fn hear(&mut self) -> Result<Option<Value>, Anything> {
        Ok(match self.lines.next_line().await? {
            Some(line) => Some(serde_json::from_str(&line)?),
            None => None,
        })
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.options[name].as_str()
    }

    async fn carry_out(&mut self, command: &Value) -> Result<Value, Anything> {
        // A client that never stops asking fails.
        for _ in 0..2 {
            let error = match self.attempt(command).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match refusal(error.as_ref()) {
                Some((true, challenge)) => self.log_in(challenge).await?,
                Some((false, Some(challenge))) => self.ask_for_more(&challenge).await?,
                _ => return Err(error),
            }
        }
        self.attempt(command).await
    }

    async fn attempt(&mut self, command: &Value) -> Result<Value, Anything> {
        match command["do"].as_str() {
            Some("connect") => self.connect().await,
            Some("call") => self.call(command).await,
            _ => Err("an unknown command".into()),
        }
    }

    async fn connect(&mut self) -> Result<Value, Anything> {
        let url = self.option("url").ok_or("no url")?.to_owned();
        let transport = StreamableHttpClientTransport::with_client(
            self.http.clone(),
            StreamableHttpClientTransportConfig::with_uri(url),
        );
        let connected = if self.option("era") == Some("2026-07-28") {
            let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
            ().serve_with_lifecycle(
                transport,
                ClientLifecycleMode::Discover { preferred_versions },
            )
            .await?
        } else {
            ().serve(transport).await?
        };
        let version = connected
            .peer_info()
            .map(|peer| peer.protocol_version.clone());
        self.connected = Some(connected);
        Ok(json!({ "version": version }))
    }

    async fn call(&mut self, command: &Value) -> Result<Value, Anything> {
        let connected = self.connected.as_ref().ok_or("not connected")?;
        let tool = command["tool"].as_str().ok_or("no tool")?.to_owned();
        let mut request = CallToolRequestParams::new(tool);
        request.arguments = command["arguments"].as_object().cloned();
        let result = connected.call_tool(request).await?;
        let text = result.content.first().and_then(|first| first.as_text());
        let text = text.map(|text| text.text.clone());
        if result.is_error == Some(true) {
            return Err(text.unwrap_or_default().into());
        }
        let structured = result.structured_content;
        Ok(json!({ "result": structured.unwrap_or_else(|| json!(text)) }))
    }

    async fn log_in(&mut self, challenge: Option<String>) -> Result<(), Anything> {
        let redirect_uri = self.option("redirect_uri").ok_or("no redirect_uri")?;
        // Without this it asks for all of `scopes_supported` too, whatever the challenge says.
        let mut request = AuthorizationRequest::new(redirect_uri).with_initial_scope_selection();
        request.challenge = challenge;
        if let Some(client_id) = self.option("client_id") {
            request = request.with_preregistered_client(client_id);
        }
        let mut state = OAuthState::new(self.option("url").ok_or("no url")?, None).await?;
        state.start_authorization(request).await?;
        let callback = self.browse(&state.get_authorization_url().await?).await?;
        state.handle_callback_url(&callback).await?;
        let manager = state.into_authorization_manager();
        *self.http.auth_manager.lock().await = manager.ok_or("no login")?;
        Ok(())
    }

    async fn ask_for_more(&mut self, challenge: &str) -> Result<(), Anything> {
        let url = self.option("url").ok_or("no url")?.parse()?;
        let wanted = WWWAuthenticateParams::parse(challenge, &url).scope;
        let manager = self.http.auth_manager.clone();
        let upgrade = manager
            .lock()
            .await
            .request_scope_upgrade(&wanted.unwrap_or_default())
            .await;
        let authorization_url = upgrade?;
        let callback = self.browse(&authorization_url).await?;
        let callback = AuthorizationCallback::from_redirect_url(&callback)?;
        let manager = manager.lock().await;
        let issuer = callback.issuer.as_deref();
        manager
            .exchange_code_for_token_with_issuer(&callback.code, &callback.csrf_token, issuer)
            .await?;
        Ok(())
    }

    async fn browse(&mut self, authorization_url: &str) -> Result<String, Anything> {
        println!("{}", json!({ "browse": authorization_url, "again": true }));
        let answer = self.hear().await?.ok_or("nobody answers")?;
        Ok(answer["callback"].as_str().ok_or("no callback")?.to_owned())
    }
}

/// Whether an error asks for a login (401), or for more scopes (403), and with which challenge.
fn refusal(error: &(dyn Error + Send + Sync + 'static)) -> Option<(bool, Option<String>)> {
    let (login, challenge) = match (error.downcast_ref(), error.downcast_ref()) {
        (Some(error), _) => initialize_refusal(error),
        (_, Some(error)) => call_refusal(error),
        _ => return None,
    };
    Some((login, challenge.map(str::to_owned)))
}

fn initialize_refusal(error: &ClientInitializeError) -> (bool, Option<&str>) {
    (error.is_authorization_required(), error.auth_challenge())
}

fn call_refusal(error: &ServiceError) -> (bool, Option<&str>) {
    (error.is_authorization_required(), error.auth_challenge())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Anything> {
    let options: Value = serde_json::from_str(&std::env::args().nth(1).ok_or("no options")?)?;
    let manager = AuthorizationManager::new(options["url"].as_str().ok_or("no url")?).await?;
    let mut driver = Driver {
        options,
        lines: BufReader::new(tokio::io::stdin()).lines(),
        http: AuthClient::new(reqwest::Client::new(), manager),
        connected: None,
    };
    while let Some(command) = driver.hear().await? {
        let answer = driver.carry_out(&command).await;
        let answer = answer.unwrap_or_else(|error| {
            eprintln!("{error:?}");
            json!({ "error": error.to_string() })
        });
        println!("{answer}");
    }
    Ok(())
}
