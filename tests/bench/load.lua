-- One signed webhook after another, each with a delivery id of its own; at the end one line of JSON.
-- BENCH_HEAD ends where the id begins, BENCH_TAIL is all that follows it.
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init()
  prefix = os.getenv("BENCH_HEAD") .. os.getenv("BENCH_RUN") .. "-" .. number .. "-"
  tail = os.getenv("BENCH_TAIL")
  count = 0
end

function request()
  count = count + 1
  return prefix .. count .. tail
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests":%d,"microseconds":%d,"errors":%d,"refused":%d,"p50":%d,"p99":%d,"slowest":%d}',
    summary.requests, summary.duration, errors.connect + errors.read + errors.write + errors.timeout, errors.status,
    latency:percentile(50), latency:percentile(99), latency.max))
end
