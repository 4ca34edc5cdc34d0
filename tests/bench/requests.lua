-- wrk's requests: `wrk ... -s requests.lua URL -- THREADS BEFORE AFTER [TOKENS LAPS]`
-- BEFORE and AFTER are files with the text of the request around the token; TOKENS is a file with
-- one token a line, of which each thread takes its own. With LAPS other than 0 a thread ends once
-- it has sent each of its tokens so many times. What is printed last is JSON.

local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } moment;
  int clock_gettime(int clock, moment *now);
]]

local function seconds()
  local now = ffi.new("moment")
  ffi.C.clock_gettime(1, now)
  return tonumber(now.seconds) + tonumber(now.nanoseconds) / 1e9
end

local function content(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

local before, after, laps
local tokens = {}
local position, lap = 0, 0

function init(args)
  local count = tonumber(args[1])
  before, after = content(args[2]), content(args[3])
  if args[4] then
    local all = {}
    for token in io.lines(args[4]) do
      all[#all + 1] = token
    end
    -- Fewer than threads: they share them.
    local step = #all < count and 1 or count
    for at = step == 1 and 1 or number + 1, #all, step do
      tokens[#tokens + 1] = all[at]
    end
    assert(#tokens > 0, "no token for this thread")
  end
  laps = tonumber(args[5] or 0)
end

function request()
  began = began or seconds()
  if #tokens == 0 then
    return before .. after
  end
  position = position + 1
  if position > #tokens then
    position = 1
    lap = lap + 1
    if lap == laps then
      -- What is still asked for is not counted: the thread ends before an answer can come.
      ended = ended or seconds()
      wrk.thread:stop()
    end
  end
  return before .. tokens[position] .. after
end

function done(summary, latency)
  local first, last
  for _, thread in ipairs(threads) do
    local start, finish = thread:get("began"), thread:get("ended")
    first = math.min(first or start, start)
    last = finish and math.max(last or finish, finish)
    if not finish then
      last = nil
      break
    end
  end
  local duration = last and last - first or summary.duration / 1e6
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "p50_us": %d, "p99_us": %d, "refused": %d, "broken": %d}\n',
    summary.requests, duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
