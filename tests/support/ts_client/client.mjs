// The official TypeScript SDKs as clients that a test drives over stdin and stdout: see
// ../clients.py for what is said there. Version 1 is `@modelcontextprotocol/sdk`, version 2
// `@modelcontextprotocol/client`.
//
//   node client.mjs '{"url": "http://127.0.0.1:8080/mcp", "sdk": 2, "era": "2026-07-28"}'
//
// Neither SDK waits for a login: it hands the authorization URL over and throws. What is in this
// file beyond that is what every application has to do.

import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import path from 'node:path';
import readline from 'node:readline';

// The npm packages are installed outside of the source tree.
const load = createRequire(path.join(process.env.TS_CLIENT_MODULES, 'client.mjs'));

const options = JSON.parse(process.argv[2]);
const url = new URL(options.url);

const sdk = '@modelcontextprotocol/sdk/client';
const { Client, StreamableHTTPClientTransport, UnauthorizedError } =
  options.sdk === 1
    ? { ...load(`${sdk}/index.js`), ...load(`${sdk}/streamableHttp.js`), ...load(`${sdk}/auth.js`) }
    : load('@modelcontextprotocol/client');

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (message) => console.log(JSON.stringify(message));

async function hear() {
  const { value, done } = await lines.next();
  return done ? undefined : JSON.parse(value);
}

const provider = {
  redirectUrl: options.redirect_uri,
  // Ory Hydra, for one, lets nobody log in without one of 8 characters.
  state: () => randomUUID(),
  clientMetadata: {
    client_name: 'test client',
    redirect_uris: [options.redirect_uri],
    grant_types: ['authorization_code', 'refresh_token'],
  },
  clientInformation: () => provider.client,
  saveClientInformation: (client) => (provider.client = client),
  tokens: () => provider.saved,
  saveTokens: (tokens) => (provider.saved = tokens),
  codeVerifier: () => provider.verifier,
  saveCodeVerifier: (verifier) => (provider.verifier = verifier),
  discoveryState: () => provider.discovered,
  saveDiscoveryState: (state) => (provider.discovered = state),
  redirectToAuthorization: (authorizationUrl) => (provider.asked = authorizationUrl),
  invalidateCredentials: (what) => {
    if (what === 'all' || what === 'client') provider.client = undefined;
    if (what === 'all' || what === 'tokens') provider.saved = undefined;
  },
};
if (options.client_id) {
  provider.client = { client_id: options.client_id, issuer: options.issuer };
}

let client, transport;

async function connect() {
  // Without a mode it speaks the era of `initialize`.
  const modern = { versionNegotiation: { mode: { pin: options.era } } };
  const era = options.era === '2026-07-28' ? modern : {};
  client = new Client({ name: 'test client', version: '1' }, era);
  transport = new StreamableHTTPClientTransport(url, { authProvider: provider });
  await client.connect(transport);
}

// Runs `work` again after each login that it ends with; a client that never stops asking fails.
async function withLogin(work) {
  for (let logins = 0; ; logins += 1) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof UnauthorizedError) || logins === 2) throw error;
      say({ browse: provider.asked.href, again: true });
      const { searchParams } = new URL((await hear()).callback);
      await transport.finishAuth(options.sdk === 1 ? searchParams.get('code') : searchParams);
    }
  }
}

const work = {
  async connect() {
    await withLogin(connect);
    // Version 1 has no getter for it; its transport knows it, since it is sent with each request.
    return { version: client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion };
  },
  async call({ tool, arguments: args }) {
    const { isError, content, structuredContent } = await withLogin(() =>
      client.callTool({ name: tool, arguments: args }),
    );
    if (isError) throw new Error(content[0].text);
    return { result: structuredContent ?? content[0].text };
  },
};

for (let command = await hear(); command; command = await hear()) {
  try {
    say(await work[command.do](command));
  } catch (error) {
    console.error(error);
    say({ error: String(error) });
  }
}
process.exit(0);
