//! An ordinary MCP server on the official Rust SDK; it has the tools that `../../story.py` calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rmcp::handler::server::{router::tool::ToolRouter, wrapper::Parameters};
use rmcp::model::{ProgressNotificationParam, ServerCapabilities, ServerConfig};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
};
use rmcp::{RoleServer, ServerHandler, tool, tool_handler, tool_router};
use serde::Deserialize;

#[derive(Deserialize, schemars::JsonSchema)]
struct Echo {
    text: String,
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Count {
    to: u32,
    milliseconds_apart: u64,
}

#[derive(Clone)]
struct Server {
    tool_router: ToolRouter<Self>,
    cancelled: Arc<AtomicU32>,
}

#[tool_router]
impl Server {
    #[tool(description = "Returns the text.")]
    fn echo(&self, Parameters(Echo { text }): Parameters<Echo>) -> String {
        text
    }

    #[tool(description = "Counts slowly, with a progress notification for each step.")]
    async fn count(
        &self,
        Parameters(Count {
            to,
            milliseconds_apart,
        }): Parameters<Count>,
        context: RequestContext<RoleServer>,
    ) -> String {
        for step in 1..=to {
            if let Some(token) = context.meta.get_progress_token() {
                let progress = ProgressNotificationParam::new(token, f64::from(step))
                    .with_total(f64::from(to));
                let _ = context.peer.notify_progress(progress).await;
            }
            tokio::select! {
                () = context.ct.cancelled() => {
                    self.cancelled.fetch_add(1, Ordering::Relaxed);
                    return "cancelled".into();
                }
                () = tokio::time::sleep(Duration::from_millis(milliseconds_apart)) => {}
            }
        }
        format!("counted to {to}")
    }

    #[tool(description = "The number of counts that were cancelled.")]
    fn cancelled(&self) -> String {
        self.cancelled.load(Ordering::Relaxed).to_string()
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let cancelled = Arc::new(AtomicU32::new(0));
    let service: StreamableHttpService<Server, LocalSessionManager> = StreamableHttpService::new(
        move || {
            Ok(Server {
                tool_router: Server::tool_router(),
                cancelled: cancelled.clone(),
            })
        },
        Arc::default(),
        StreamableHttpServerConfig::default(),
    );
    let router = axum::Router::new().nest_service("/mcp", service);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    println!(
        "{{\"port\": {}}}",
        listener.local_addr().expect("an address").port()
    );
    axum::serve(listener, router).await.expect("to serve");
}
