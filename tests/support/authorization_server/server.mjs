// A real authorization server (oidc-provider) for tests and demo: JWT access tokens for the
// resource that the client names (RFC 8707), open dynamic registration (RFC 7591), authorization
// code + PKCE where login and consent are granted without a page, client credentials, refresh.
//
//   node server.mjs '{"resources": ["http://127.0.0.1:8080/mcp"], "scopes": ["mcp:read"]}'
//
// Prints one JSON line, {"issuer", "port", "control"}, once it listens.

import crypto from 'node:crypto';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';

// The npm packages are installed outside of the source tree.
const modules = process.env.AUTHORIZATION_SERVER_MODULES ?? import.meta.dirname;
const { errors, Provider } = createRequire(path.join(modules, 'server.mjs'))('oidc-provider');

const options = {
  port: 0,
  issuer: undefined, // the URL of whoever ends TLS in front of it; default: its own
  algorithm: 'RS256', // RS256, PS256, ES256, ES384, ES512, EdDSA
  resources: [], // resource identifiers that tokens may be asked for
  scopes: ['mcp:read', 'mcp:write', 'mcp:admin'],
  accessTokenSeconds: 300,
  tellsLifetime: true, // whether token responses have `expires_in`
  accountId: 'alice',
  tenant: 'acme', // claim `tenant` of every access token
  clients: [], // besides those that register themselves
  offlineAccess: true, // whether it advertises that scope; refresh tokens do not depend on it
  keepsRegisteredScope: true, // whether `scope` of a registration bounds what that client may ask for
  opaque: false, // opaque access tokens; introspection by the client `mcp-server`
  ...JSON.parse(process.argv[2] ?? '{}'),
};

// Every kind of object in one map, shared by the Providers that follow one another: the adapter
// that comes with oidc-provider is emptied whenever a second Provider is made.
const stored = new Map();

class Adapter {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload) {
    if (this.model === 'Client' && !options.keepsRegisteredScope) delete payload.scope;
    stored.set(this.key(id), payload);
  }

  async find(id) {
    return stored.get(this.key(id));
  }

  async findByUid(uid) {
    return [...stored.values()].find((payload) => payload.uid === uid);
  }

  async findByUserCode() {
    return undefined;
  }

  async consume(id) {
    stored.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    stored.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const [key, payload] of stored) if (payload.grantId === grantId) stored.delete(key);
  }
}

const KEY_TYPES = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  ES384: ['ec', { namedCurve: 'P-384' }],
  ES512: ['ec', { namedCurve: 'P-521' }],
  EdDSA: ['ed25519', undefined],
};

let keyNumber = 0;

function newKey(algorithm) {
  const { privateKey } = crypto.generateKeyPairSync(...KEY_TYPES[algorithm]);
  keyNumber += 1;
  const jwk = privateKey.export({ format: 'jwk' });
  return { ...jwk, kid: `${algorithm.toLowerCase()}-${keyNumber}`, alg: algorithm, use: 'sig' };
}

const cookieKeys = [crypto.randomBytes(32).toString('hex')]; // kept when signing keys rotate
let signingKeys = [newKey(options.algorithm)];

function newProvider(issuer) {
  const configuration = {
    adapter: Adapter,
    cookies: { keys: cookieKeys },
    jwks: { keys: signingKeys },
    clients: options.clients,
    scopes: ['openid', ...(options.offlineAccess ? ['offline_access'] : []), ...options.scopes],
    clientDefaults: { id_token_signed_response_alg: options.algorithm },
    findAccount: async (_, accountId) => ({ accountId, claims: async () => ({ sub: accountId }) }),
    extraTokenClaims: async () => ({ tenant: options.tenant }),
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token'),
    clientBasedCORS: () => true,
    enabledJWA: { idTokenSigningAlgValues: Object.keys(KEY_TYPES) },
    ttl: {
      AccessToken: () => options.accessTokenSeconds,
      AuthorizationCode: 60,
      ClientCredentials: () => options.accessTokenSeconds,
      Grant: 3600,
      IdToken: 300,
      Interaction: 600,
      RefreshToken: 3600,
      Session: 3600,
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        // A client without `resource` gets no token that a resource server would take.
        defaultResource: (_, client, oneOf) => oneOf,
        useGrantedResource: () => true,
        getResourceServerInfo: async (_, resource) => {
          if (!options.resources.includes(resource)) throw new errors.InvalidTarget();
          return {
            audience: resource,
            scope: options.scopes.join(' '),
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: options.algorithm } },
          };
        },
      },
    },
  };
  if (options.opaque) makeOpaque(configuration);
  const provider = new Provider(issuer, configuration);
  provider.proxy = Boolean(options.issuer);
  provider.on('server_error', (_, error) => console.error(error));
  for (const event of ['grant.success', 'grant.error']) {
    provider.on(event, (ctx) => (ctx.res.grantType = ctx.oidc.params?.grant_type));
  }
  // RFC 6749 section 5.1 only recommends `expires_in`.
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.path === '/token' && !options.tellsLifetime) delete ctx.body.expires_in;
  });
  return provider;
}

// Opaque tokens keep the resource as audience; any resource server may ask about any of them.
function makeOpaque(configuration) {
  const { features } = configuration;
  const described = features.resourceIndicators.getResourceServerInfo;
  features.resourceIndicators.getResourceServerInfo = async (...resource) => {
    const { audience, scope } = await described(...resource);
    return { audience, scope, accessTokenFormat: 'opaque' };
  };
  features.introspection = { enabled: true, allowedPolicy: () => true };
  features.revocation = { enabled: true };
  configuration.clients = [
    ...configuration.clients,
    {
      client_id: 'mcp-server',
      client_secret: 'for-tests-only',
      grant_types: [],
      response_types: [],
      redirect_uris: [],
    },
  ];
}

// What a person would do on two pages: log in, and agree to everything asked for.
async function interact(provider, request, response) {
  const { prompt, params, grantId, session } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    const login = { accountId: options.accountId };
    return provider.interactionFinished(request, response, { login });
  }
  const grant =
    (grantId && (await provider.Grant.find(grantId))) ||
    new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingOIDCClaims, missingResourceScopes } = prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
  if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '));
  }
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
}

let provider;
let answer;

function start() {
  const issuer = options.issuer ?? `http://127.0.0.1:${server.address().port}`;
  provider = newProvider(issuer);
  answer = provider.callback();
  return issuer;
}

// What was asked for, and how it ended: `POST /token 200 refresh_token`.
const served = [];

const server = http.createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://server');
  response.on('finish', () => {
    const parts = [request.method, pathname, response.statusCode, response.grantType];
    served.push(parts.filter((part) => part !== undefined).join(' '));
  });
  if (options.issuer) request.headers['x-forwarded-proto'] = 'https';
  try {
    if (request.url.startsWith('/interaction/')) {
      await interact(provider, request, response);
    } else {
      await answer(request, response);
    }
  } catch (error) {
    console.error(error);
    response.writeHead(500).end(String(error));
  }
});

// Control, on a port of its own:
//   POST /rotate            a new signing key; with ?drop=1 the old ones leave the set
//   POST /lifetime?seconds= how long access tokens live from now on; with &tell=0 unknown to clients
//   POST /forget            no refresh token is good any more
//   POST /served            the requests that were served so far
const control = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://control');
  const reply = (status, body) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  if (request.method === 'POST' && url.pathname === '/rotate') {
    const added = newKey(options.algorithm);
    signingKeys = url.searchParams.has('drop') ? [added] : [added, ...signingKeys];
    start();
    reply(200, { kid: added.kid });
  } else if (request.method === 'POST' && url.pathname === '/lifetime') {
    options.accessTokenSeconds = Number(url.searchParams.get('seconds'));
    options.tellsLifetime = url.searchParams.get('tell') !== '0';
    reply(200, { seconds: options.accessTokenSeconds });
  } else if (request.method === 'POST' && url.pathname === '/forget') {
    for (const key of [...stored.keys()]) if (key.startsWith('RefreshToken:')) stored.delete(key);
    reply(200, {});
  } else if (request.method === 'POST' && url.pathname === '/served') {
    reply(200, { served });
  } else {
    reply(404, { error: 'not_found' });
  }
});

server.listen(options.port, '127.0.0.1', () => {
  const { port } = server.address();
  const issuer = start();
  control.listen(0, '127.0.0.1', () => {
    console.log(JSON.stringify({ issuer, port, control: `http://127.0.0.1:${control.address().port}` }));
  });
});

process.on('SIGTERM', () => process.exit(0));
