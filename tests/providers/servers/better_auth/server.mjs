// Better Auth with its OAuth provider, on loopback:
//
//   node server.mjs '{"port": 3000, "resources": ["http://127.0.0.1:8080/mcp"]}'
//
// User alice@example.com, password alice-alice. Pages are the application's own; the test posts what
// they would. Prints one JSON line once it listens. POST /rotate retires the signing key.

import crypto from 'node:crypto';
import http from 'node:http';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

// The npm packages are installed outside of the source tree.
const require = createRequire(path.join(process.env.BETTER_AUTH_MODULES, 'server.mjs'));
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { betterAuth } = await load('better-auth');
const { getMigrations } = await load('better-auth/db/migration');
const { toNodeHandler } = await load('better-auth/node');
const { jwt } = await load('better-auth/plugins');
const { oauthProvider } = await load('@better-auth/oauth-provider');

const options = { resources: [], scopes: ['mcp:tools'], provider: {}, ...JSON.parse(process.argv[2]) };
const database = new DatabaseSync(':memory:');

const auth = betterAuth({
  baseURL: `http://127.0.0.1:${options.port}`,
  secret: crypto.randomBytes(32).toString('hex'),
  database,
  emailAndPassword: { enabled: true },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  disabledPaths: ['/token'],
  plugins: [
    jwt({ jwks: { gracePeriod: 3600 } }),
    oauthProvider({
      loginPage: '/login',
      consentPage: '/consent',
      scopes: ['openid', 'offline_access', ...options.scopes],
      resources: options.resources,
      clientRegistrationDefaultResources: options.resources,
      allowDynamicClientRegistration: true,
      allowUnauthenticatedClientRegistration: true,
      silenceWarnings: { oauthAuthServerConfig: true, openidConfig: true },
      ...options.provider,
    }),
  ],
});

const { runMigrations } = await getMigrations(auth.options);
await runMigrations();
await auth.api.signUpEmail({
  body: { name: 'Alice', email: 'alice@example.com', password: 'alice-alice' },
});

const answer = toNodeHandler(auth);
const server = http.createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/rotate') {
    database.prepare('update jwks set expiresAt = ?').run(new Date().toISOString());
    response.end('{}');
    return;
  }
  answer(request, response);
});
server.listen(options.port, '127.0.0.1', () => console.log(JSON.stringify({ port: options.port })));
process.on('SIGTERM', () => process.exit(0));
