// A host of proxy-wasm modules that counts what it is asked for.
//
// It runs the real module on V8, as Envoy does, and knows just what the filter calls. Reads a
// scenario as JSON from standard input: {module, configuration, requests: [{name, headers, repeat,
// ends, fails}], time}; what a request `fails` are calls that end in an internal failure. Writes
// JSON: for each request the action, the answer if there is one, and the host calls by name; with
// `repeat`, nanoseconds for each of so many further runs.

import { readFileSync } from "node:fs";
import { createPublicKey, verify, webcrypto } from "node:crypto";

const OK = 0;
const NOT_FOUND = 1;
const INTERNAL_FAILURE = 10;
const UNIMPLEMENTED = 12;
const REQUEST_HEADERS = 0;
const PLUGIN_CONFIGURATION = 7;

const scenario = JSON.parse(readFileSync(0, "utf8"));
const encoder = new TextEncoder();
const decoder = new TextDecoder();

let calls = {};
let failing = [];
let headers = [];
let encodedHeaders = null;
let reply = null;
let state = {};
let memory;
let exports;

const metrics = [];
const bytes = (at, size) => new Uint8Array(memory.buffer, at, size);
const text = (at, size) => decoder.decode(bytes(at, size));
const word = (at, value) => new DataView(memory.buffer).setUint32(at, value, true);

function give(data, pointer, size) {
  const at = data.length === 0 ? 0 : exports.proxy_on_memory_allocate(data.length);
  if (data.length > 0) bytes(at, data.length).set(data);
  word(pointer, at);
  word(size, data.length);
  return OK;
}

function pairs(list) {
  const flat = list.map(([name, value]) => [encoder.encode(name), encoder.encode(value)]);
  const out = new Uint8Array(flat.reduce((sum, [n, v]) => sum + 10 + n.length + v.length, 4));
  const view = new DataView(out.buffer);
  view.setUint32(0, flat.length, true);
  let at = 4 + 8 * flat.length;
  flat.forEach(([name, value], index) => {
    view.setUint32(4 + 8 * index, name.length, true);
    view.setUint32(8 + 8 * index, value.length, true);
    out.set(name, at);
    out.set(value, at + name.length + 1);
    at += name.length + value.length + 2;
  });
  return out;
}

function unpairs(at, size) {
  const data = bytes(at, size);
  const view = new DataView(memory.buffer, at, size);
  const count = view.getUint32(0, true);
  const list = [];
  let next = 4 + 8 * count;
  for (let index = 0; index < count; index++) {
    const name = view.getUint32(4 + 8 * index, true);
    const value = view.getUint32(8 + 8 * index, true);
    list.push([
      decoder.decode(data.subarray(next, next + name)),
      decoder.decode(data.subarray(next + name + 1, next + name + 1 + value)),
    ]);
    next += name + value + 2;
  }
  return list;
}

// Fields of a protobuf message of bytes.
function fields(data) {
  const found = {};
  for (let at = 0; at < data.length; ) {
    const number = data[at++] >> 3;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = data[at++];
      length |= (byte & 0x7f) << shift;
      if (byte < 128) break;
    }
    found[number] = data.slice(at, at + length);
    at += length;
  }
  return found;
}

function verifySignature(message) {
  const { 1: hash, 2: key, 3: signature, 4: signed } = fields(message);
  const spki = createPublicKey({ key: Buffer.from(key), format: "der", type: "spki" });
  return verify(decoder.decode(hash), signed, spki, signature);
}

const host = {
  proxy_log(level, at, size) {
    if (process.env.HOST_LOG) console.error(level, text(at, size));
    return OK;
  },
  proxy_get_current_time_nanoseconds(at) {
    new DataView(memory.buffer).setBigUint64(at, BigInt(scenario.time) * 1000000000n, true);
    return OK;
  },
  proxy_set_tick_period_milliseconds: () => OK,
  proxy_get_buffer_bytes(kind, start, size, pointer, length) {
    if (kind !== PLUGIN_CONFIGURATION) return NOT_FOUND;
    return give(encoder.encode(JSON.stringify(scenario.configuration)), pointer, length);
  },
  proxy_get_header_map_pairs(kind, pointer, length) {
    return kind === REQUEST_HEADERS ? give(encodedHeaders, pointer, length) : NOT_FOUND;
  },
  proxy_get_header_map_value(kind, at, size, pointer, length) {
    const name = text(at, size);
    const found = headers.find(([other]) => other === name);
    return found ? give(encoder.encode(found[1]), pointer, length) : NOT_FOUND;
  },
  proxy_add_header_map_value: () => OK,
  proxy_remove_header_map_value: () => OK,
  proxy_get_property(at, size, pointer, length) {
    return NOT_FOUND;
  },
  proxy_set_property(path, pathSize, value, valueSize) {
    if (!scenario.timed) state[text(path, pathSize).replaceAll("\0", ".")] = text(value, valueSize);
    return OK;
  },
  proxy_define_metric(kind, at, size, id) {
    metrics.push(text(at, size));
    word(id, metrics.length);
    return OK;
  },
  proxy_increment_metric: () => OK,
  proxy_record_metric: () => OK,
  proxy_send_local_response(status, details, detailsSize, body, bodySize, map, mapSize) {
    if (!scenario.timed) {
      reply = { status, body: text(body, bodySize), headers: unpairs(map, mapSize) };
    }
    return OK;
  },
  proxy_call_foreign_function(name, nameSize, at, size, pointer, length) {
    if (scenario.foreign === false || text(name, nameSize) !== "verify_signature") return NOT_FOUND;
    const good = verifySignature(bytes(at, size).slice());
    return give(good ? new Uint8Array([8, 1]) : new Uint8Array(), pointer, length);
  },
};

// Whatever else the module may import says that it is not there.
const counted = new Proxy(host, {
  get: (target, name) => (...args) => {
    calls[name] = (calls[name] ?? 0) + 1;
    if (failing.includes(name)) return INTERNAL_FAILURE;
    return target[name] ? target[name](...args) : UNIMPLEMENTED;
  },
});
const wasi = new Proxy(
  {
    random_get: (at, size) => (webcrypto.getRandomValues(bytes(at, size)), OK),
    environ_sizes_get: (count, size) => (word(count, 0), word(size, 0), OK),
    environ_get: () => OK,
    clock_time_get(id, precision, at) {
      new DataView(memory.buffer).setBigUint64(at, BigInt(scenario.time) * 1000000000n, true);
      return OK;
    },
  },
  { get: (target, name) => target[name] ?? (() => 52) },
);

const module = new WebAssembly.Module(readFileSync(scenario.module));
const imports = { env: {}, wasi_snapshot_preview1: {} };
for (const { module: space, name } of WebAssembly.Module.imports(module)) {
  // Timed runs call the host without a detour.
  const direct = scenario.timed ? host[name] : undefined;
  imports[space][name] = space === "env" ? (direct ?? counted[name]) : wasi[name];
}
const instance = new WebAssembly.Instance(module, imports);
exports = instance.exports;
memory = exports.memory;
(exports._initialize ?? exports._start)?.();

const ROOT = 1;
exports.proxy_on_context_create(ROOT, 0);
const size = encoder.encode(JSON.stringify(scenario.configuration)).length;
if (!exports.proxy_on_vm_start(ROOT, 0) || !exports.proxy_on_configure(ROOT, size)) {
  console.error("the module refuses its configuration");
  process.exit(1);
}

let context = ROOT;
function run(request) {
  const id = ++context;
  headers = request.headers;
  failing = request.fails ?? [];
  encodedHeaders = request.encoded;
  exports.proxy_on_context_create(id, ROOT);
  const action = exports.proxy_on_request_headers(id, headers.length, request.ends ? 1 : 0);
  exports.proxy_on_response_headers?.(id, 3, 0);
  exports.proxy_on_response_body?.(id, 2, 1);
  exports.proxy_on_done?.(id);
  exports.proxy_on_log?.(id);
  exports.proxy_on_delete(id);
  return action;
}

const results = [];
for (const request of scenario.requests) {
  request.encoded = pairs(request.headers);
  calls = {};
  reply = null;
  state = {};
  const action = run(request);
  const result = { name: request.name, action, calls, reply, state };
  if (request.repeat) {
    const repeat = (times) => {
      for (let at = 0; at < times; at++) run(request);
    };
    repeat(request.repeat);
    const rounds = [];
    for (let round = 0; round < 7; round++) {
      const begun = process.hrtime.bigint();
      repeat(request.repeat);
      rounds.push(Number(process.hrtime.bigint() - begun) / request.repeat);
    }
    result.nanoseconds = rounds.sort((a, b) => a - b)[3];
  }
  results.push(result);
}
console.log(JSON.stringify(results));
