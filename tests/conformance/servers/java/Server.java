import io.modelcontextprotocol.server.McpServer;
import io.modelcontextprotocol.server.McpServerFeatures.SyncToolSpecification;
import io.modelcontextprotocol.server.McpSyncServerExchange;
import io.modelcontextprotocol.server.transport.HttpServletStreamableServerTransportProvider;
import io.modelcontextprotocol.spec.McpSchema;
import io.modelcontextprotocol.spec.McpSchema.CallToolRequest;
import io.modelcontextprotocol.spec.McpSchema.CallToolResult;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiFunction;
import org.apache.catalina.Context;
import org.apache.catalina.Wrapper;
import org.apache.catalina.startup.Tomcat;

/** An ordinary MCP server on the official Java SDK and Tomcat, with the tools that ../../story.py calls. */
public final class Server {
    public static void main(String[] arguments) throws Exception {
        HttpServletStreamableServerTransportProvider transport =
                HttpServletStreamableServerTransportProvider.builder().mcpEndpoint("/mcp").build();
        McpServer.sync(transport)
                .serverInfo("harness", "1")
                .capabilities(McpSchema.ServerCapabilities.builder().tools(false).build())
                .tools(
                        tool("echo", Map.of("text", "string"), (exchange, request) ->
                                text(String.valueOf(request.arguments().get("text")))),
                        tool("count", Map.of("to", "integer", "milliseconds_apart", "integer"), Server::count))
                .build();
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(System.getProperty("java.io.tmpdir"));
        tomcat.setPort(0);
        tomcat.getConnector().setProperty("address", "127.0.0.1");
        Context context = tomcat.addContext("", null);
        Wrapper servlet = Tomcat.addServlet(context, "mcp", transport);
        servlet.setAsyncSupported(true);
        context.addServletMappingDecoded("/mcp", "mcp");
        tomcat.start();
        System.out.println("{\"port\": " + tomcat.getConnector().getLocalPort() + "}");
        tomcat.getServer().await();
    }

    private static SyncToolSpecification tool(
            String name,
            Map<String, String> fields,
            BiFunction<McpSyncServerExchange, CallToolRequest, CallToolResult> handler) {
        Map<String, Object> properties = new HashMap<>();
        fields.forEach((field, type) -> properties.put(field, Map.of("type", type)));
        Map<String, Object> schema =
                Map.of("type", "object", "properties", properties, "required", List.copyOf(fields.keySet()));
        return SyncToolSpecification.builder()
                .tool(McpSchema.Tool.builder(name, schema).build())
                .callHandler(handler)
                .build();
    }

    private static CallToolResult count(McpSyncServerExchange exchange, CallToolRequest request) {
        int to = ((Number) request.arguments().get("to")).intValue();
        for (int step = 1; step <= to; step++) {
            Object token = request.progressToken();
            if (token != null) {
                exchange.progressNotification(new McpSchema.ProgressNotification(token, step, (double) to, null));
            }
            try {
                Thread.sleep(((Number) request.arguments().get("milliseconds_apart")).longValue());
            } catch (InterruptedException interrupted) {
                return text("interrupted");
            }
        }
        return text("counted to " + to);
    }

    private static CallToolResult text(String said) {
        return CallToolResult.builder().addTextContent(said).build();
    }
}
