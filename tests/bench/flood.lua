-- The load of load.lua (BENCH_LOAD), but so many a second (BENCH_RATE) whatever the answers are, and each answer looked at.
dofile(os.getenv("BENCH_LOAD"))
local ffi = require("ffi")
ffi.cdef("typedef struct { long seconds; long microseconds; } moment_t; int gettimeofday(moment_t *, void *);")
local moment = ffi.new("moment_t")
local rate = tonumber(os.getenv("BENCH_RATE"))
local started, slot = nil, 0
local sender

-- What done() reads; wrk gives each thread a Lua of its own.
statuses, hasty, unsent = {}, 0, 0

local remember = setup
function setup(thread)
  remember(thread)
  sender = thread
end

local function now()
  ffi.C.gettimeofday(moment, nil)
  return tonumber(moment.seconds) + tonumber(moment.microseconds) / 1e6
end

-- Milliseconds until the next slot of the timetable. Slots that found every connection waiting are given up after a
-- tenth of a second: a sender that had none free does not catch up in a burst.
function delay()
  local at = now()
  started = started or at
  slot = slot + 1
  local behind = math.floor((at - started - 0.1) * rate) - slot
  if behind > 0 then
    slot = slot + behind
    unsent = unsent + behind
  end
  return math.max(0, (started + slot / rate - at) * 1000)
end

function response(status, headers)
  statuses[status] = (statuses[status] or 0) + 1
  if status == 429 or status == 503 then
    for name in pairs(headers) do
      if name:lower() == "retry-after" then return end
    end
    hasty = hasty + 1
  end
end

function done(summary, latency)
  local listed = {}
  for status, number in pairs(sender:get("statuses")) do
    table.insert(listed, string.format('"%d":%d', status, number))
  end
  local errors = summary.errors
  print(string.format(
    '{"microseconds":%d,"broken":%d,"late":%d,"statuses":{%s},"hasty":%d,"unsent":%d}',
    summary.duration, errors.connect + errors.read + errors.write, errors.timeout, table.concat(listed, ","),
    sender:get("hasty"), sender:get("unsent")))
end
