import io.modelcontextprotocol.client.McpClient;
import io.modelcontextprotocol.client.McpSyncClient;
import io.modelcontextprotocol.client.transport.HttpClientStreamableHttpTransport;
import io.modelcontextprotocol.client.transport.customizer.McpHttpClientAuthorizationErrorHandler;
import io.modelcontextprotocol.spec.McpSchema;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * The official Java SDK as a client, driven over stdin and stdout as tests/support/clients.py says. It has no login
 * of its own: it gives a challenge to its application, which says {"challenge": "..."} here, and is told a token.
 */
public final class Client {
    private static final JsonMapper JSON = new JsonMapper();
    private static final BufferedReader LINES =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    private static volatile String token;

    public static void main(String[] arguments) throws Exception {
        URI url = URI.create(JSON.readTree(arguments[0]).get("url").asString());
        HttpClientStreamableHttpTransport transport = HttpClientStreamableHttpTransport
                .builder(url.getScheme() + "://" + url.getAuthority())
                .endpoint(url.getPath())
                .httpRequestCustomizer((request, method, uri, body, context) -> {
                    if (token != null) request.setHeader("Authorization", "Bearer " + token);
                })
                .authorizationErrorHandler(McpHttpClientAuthorizationErrorHandler.fromSync((answer, context) ->
                        askForToken(answer.headers().firstValue("www-authenticate").orElse(""))))
                .build();
        try (McpSyncClient client = McpClient.sync(transport).build()) {
            hear(); // "connect": there is nothing else to begin with
            try {
                say(Map.of("version", client.initialize().protocolVersion()));
            } catch (RuntimeException failure) {
                say(Map.of("error", reason(failure)));
                return;
            }
            for (JsonNode command = hear(); command != null; command = hear()) {
                try {
                    say(answer(client, command));
                } catch (RuntimeException failure) {
                    say(Map.of("error", reason(failure)));
                }
            }
        }
    }

    private static Map<String, Object> answer(McpSyncClient client, JsonNode command) {
        if (command.get("do").asString().equals("list")) {
            return Map.of("tools", client.listTools().tools().stream().map(McpSchema.Tool::name).toList());
        }
        Map<String, Object> given = new HashMap<>(JSON.convertValue(command.get("arguments"), Map.class));
        McpSchema.CallToolResult result =
                client.callTool(McpSchema.CallToolRequest.builder(command.get("tool").asString()).arguments(given).build());
        StringBuilder text = new StringBuilder();
        for (McpSchema.Content content : result.content()) {
            if (content instanceof McpSchema.TextContent words) text.append(words.text());
        }
        return Map.of(Boolean.TRUE.equals(result.isError()) ? "error" : "result", text.toString());
    }

    private static boolean askForToken(String challenge) {
        say(Map.of("challenge", challenge));
        token = hear().get("token").asString();
        return true;
    }

    private static String reason(Throwable failure) {
        Throwable cause = failure;
        while (cause.getCause() != null) cause = cause.getCause();
        return failure.getMessage() + " / " + cause.getMessage();
    }

    private static synchronized void say(Map<String, Object> message) {
        System.out.println(JSON.writeValueAsString(message));
        System.out.flush();
    }

    private static JsonNode hear() {
        try {
            String line = LINES.readLine();
            return line == null ? null : JSON.readTree(line);
        } catch (java.io.IOException failure) {
            return null;
        }
    }
}
