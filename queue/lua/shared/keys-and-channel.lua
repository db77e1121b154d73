-- First part of every step: the model's keys by name, its clock and its channel.
-- KEYS: as listed here (queue/redis/keys.ts makes them; names that end in _of are prefixes of one key per id). All are on one Cluster slot.
local prediction_of, job_of, predictions_of = KEYS[1], KEYS[2], KEYS[3]
local waiting, deadlines, counters, channel = KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local dead, specs, alive, workers = KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local shared_of, cache_of, idempotency_of, stream_of = KEYS[12], KEYS[13], KEYS[14], KEYS[15]
local fair_of, tenants, weights, open_of_tenants = KEYS[16], KEYS[17], KEYS[18], KEYS[19]
local refunds, running, refused_of = KEYS[20], KEYS[21], KEYS[22]
local GROUP = 'workers'
local ANONYMOUS = 'anonymous'
local LANES = { HIGH = 0, NORMAL = 1, LOW = 2 }
local TERMINAL = { SUCCEEDED = true, FAILED = true, CANCELED = true, EXPIRED = true }

-- Redis' clock, so that machines cannot disagree about a deadline.
local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Publishes a prediction's state to every server. The sequence number shows a server that it missed a message.
local function send_state(id, revision)
  local sequence = redis.call('HINCRBY', counters, 'sequence', 1)
  local state = cjson.encode(redis.call('HGETALL', prediction_of .. id))
  redis.call('PUBLISH', channel, sequence .. ' ' .. id .. ' ' .. revision .. ' ' .. state)
end

local function publish(id)
  send_state(id, redis.call('HINCRBY', prediction_of .. id, 'revision', 1))
end
