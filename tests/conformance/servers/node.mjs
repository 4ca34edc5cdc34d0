// An ordinary MCP server on the official TypeScript SDK, version 1 or 2, with the tools that ../story.py calls:
//   node node.mjs 1    sessions, as the SDK's examples have them
//   node node.mjs 2    createMcpHandler: 2026-07-28, and 2025 without sessions

import crypto from 'node:crypto';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';

// The npm packages are installed outside of the source tree.
const load = createRequire(path.join(process.env.SERVER_MODULES, 'server.mjs'));
const z = load('zod/v4');
let cancelled = 0;

const text = (said) => ({ content: [{ type: 'text', text: String(said) }] });

async function count({ to, milliseconds_apart }, { signal, token, notify }) {
  for (let step = 1; step <= to; step += 1) {
    if (token !== undefined) {
      await notify({ method: 'notifications/progress', params: { progressToken: token, progress: step, total: to } });
    }
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds_apart);
      signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
    });
    if (signal.aborted) {
      cancelled += 1;
      return text('cancelled');
    }
  }
  return text(`counted to ${to}`);
}

// `context` gets what version 1 and 2 hand to a tool into one form.
function withTools(server, context) {
  server.registerTool('echo', { description: 'Returns the text.', inputSchema: z.object({ text: z.string() }) }, async (given) =>
    text(given.text),
  );
  server.registerTool(
    'count',
    {
      description: 'Counts slowly, with a progress notification for each step.',
      inputSchema: z.object({ to: z.number(), milliseconds_apart: z.number() }),
    },
    async (given, extra) => count(given, context(extra)),
  );
  server.registerTool('cancelled', { description: 'The number of counts that were cancelled.', inputSchema: z.object({}) }, async () =>
    text(cancelled),
  );
  return server;
}

const about = { name: 'harness', version: '1' };

function version1() {
  const { McpServer } = load('@modelcontextprotocol/sdk/server/mcp.js');
  const { StreamableHTTPServerTransport } = load('@modelcontextprotocol/sdk/server/streamableHttp.js');
  const sessions = new Map();
  const context = (extra) => ({
    signal: extra.signal,
    token: extra._meta?.progressToken,
    notify: (message) => extra.sendNotification(message),
  });
  return async (request, response) => {
    const known = sessions.get(request.headers['mcp-session-id']);
    if (known) return known.handleRequest(request, response);
    if (request.headers['mcp-session-id']) return response.writeHead(404).end();
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => crypto.randomUUID(),
      onsessioninitialized: (id) => sessions.set(id, transport),
      onsessionclosed: (id) => sessions.delete(id),
    });
    await withTools(new McpServer(about), context).connect(transport);
    return transport.handleRequest(request, response);
  };
}

function version2() {
  const { McpServer, createMcpHandler } = load('@modelcontextprotocol/server');
  const { toNodeHandler } = load('@modelcontextprotocol/node');
  const context = ({ mcpReq }) => ({
    signal: mcpReq.signal,
    token: mcpReq._meta?.progressToken,
    notify: (message) => mcpReq.notify(message),
  });
  return toNodeHandler(createMcpHandler(() => withTools(new McpServer(about), context)));
}

const handle = process.argv[2] === '1' ? version1() : version2();
const server = http.createServer((request, response) => {
  if (new URL(request.url, 'http://server').pathname !== '/mcp') return response.writeHead(404).end();
  Promise.resolve(handle(request, response)).catch((error) => {
    console.error(error);
    response.destroy();
  });
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
process.on('SIGTERM', () => process.exit(0));
