-- Prelude of every step: the model's keys by name, and the moves that several steps share.
-- KEYS: as listed here (queue/keys.ts makes them; names that end in _of are prefixes of one key an id). All lie on one Cluster slot.
local prediction_of, job_of, followers_of = KEYS[1], KEYS[2], KEYS[3]
local waiting, deadlines, counters, channel = KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local dead, specs, alive, workers = KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local shared_of, cache_of, idempotency_of, stream_of = KEYS[12], KEYS[13], KEYS[14], KEYS[15]
local GROUP = 'workers'
local ANONYMOUS = 'anonymous'
local TERMINAL = { SUCCEEDED = true, FAILED = true, CANCELED = true, EXPIRED = true }
local MAX_DEAD_BYTES = 64 * 1024 * 1024
local MAX_DEAD_AGE_MS = 7 * 24 * 60 * 60 * 1000
-- How many dead letters one step takes out at the most, so that Redis is never held up.
local TRIM_AT_ONCE = 50

-- Redis' own clock, so that no two machines disagree about a deadline.
local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Tells every server of a prediction's new state. The sequence lets a server see that it missed a message.
local function publish(id)
  local key = prediction_of .. id
  local revision = redis.call('HINCRBY', key, 'revision', 1)
  local sequence = redis.call('HINCRBY', counters, 'sequence', 1)
  local state = cjson.encode(redis.call('HGETALL', key))
  redis.call('PUBLISH', channel, sequence .. ' ' .. id .. ' ' .. revision .. ' ' .. state)
end

-- The computation leaves Redis, its pixels first of all.
local function drop_job(job_id)
  local key = job_of .. job_id
  local job = redis.call('HMGET', key, 'stream', 'entryId', 'bytes', 'fingerprint', 'attempts')
  if not job[1] then return end
  redis.call('XACK', job[1], GROUP, job[2])
  redis.call('XDEL', job[1], job[2])
  redis.call('ZREM', waiting, job_id)
  redis.call('HINCRBY', counters, 'bytes', -tonumber(job[3]))
  if tonumber(job[5]) > 0 then redis.call('HINCRBY', counters, 'processing', -1) end
  if job[4] and redis.call('GET', shared_of .. job[4]) == job_id then redis.call('DEL', shared_of .. job[4]) end
  redis.call('DEL', key, followers_of .. job_id)
end

-- The one way into a terminal status. The first transition wins: callers have seen a status that is not terminal.
local function finish(id, status, now, fields)
  local key = prediction_of .. id
  redis.call('HSET', key, 'status', status, 'finishedAtMs', now, unpack(fields))
  redis.call('ZREM', deadlines, id)
  redis.call('HINCRBY', counters, 'ended:' .. status, 1)
  publish(id)
  redis.call('PEXPIRE', key, redis.call('HGET', key, 'ttlMs'))
end

-- Ends one prediction without a result; its computation goes on only while another prediction follows it.
local function abandon(id, status, now, fields)
  local job_id = redis.call('HGET', prediction_of .. id, 'jobId')
  finish(id, status, now, fields)
  redis.call('SREM', followers_of .. job_id, id)
  if redis.call('SCARD', followers_of .. job_id) == 0 then drop_job(job_id) end
end

-- One field of a stream's entry, '' where it has none of that name.
local function field_of(entry, name)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == name then return entry[2][i + 1] end
  end
  return ''
end

-- A job's entry goes to the end of another stream. Whoever claimed the old entry is told by the start step that it is gone.
local function move_entry(job_id, to)
  local key = job_of .. job_id
  local job = redis.call('HMGET', key, 'stream', 'entryId', 'options', 'attempts', 'tenant')
  local entry = redis.call('XRANGE', job[1], job[2], job[2])[1]
  local entry_id = redis.call('XADD', to, '*', 'job', job_id, 'tenant', job[5] or ANONYMOUS, 'options', job[3], 'image', field_of(entry, 'image'),
    'recovered', tonumber(job[4]) > 0 and '1' or '0')
  redis.call('XACK', job[1], GROUP, job[2])
  redis.call('XDEL', job[1], job[2])
  redis.call('HSET', key, 'stream', to, 'entryId', entry_id)
end

-- What a dead letter costs: its names and values by turns, not the image alone, which may be small.
local function size_of(fields)
  local bytes = 0
  for _, text in ipairs(fields) do bytes = bytes + #text end
  return bytes
end

-- entry as XRANGE gives it
local function remove_dead(entry)
  redis.call('XDEL', dead, entry[1])
  return redis.call('HINCRBY', counters, 'deadBytes', -size_of(entry[2]))
end

local function trim_dead(now)
  local bytes = tonumber(redis.call('HGET', counters, 'deadBytes') or '0')
  for _ = 1, TRIM_AT_ONCE do
    local oldest = redis.call('XRANGE', dead, '-', '+', 'COUNT', 1)[1]
    if not oldest then return end
    local age = now - tonumber(string.match(oldest[1], '^%d+'))
    if bytes <= MAX_DEAD_BYTES and age <= MAX_DEAD_AGE_MS then return end
    bytes = remove_dead(oldest)
  end
end

-- The computation failed for good: its pixels move to the dead letters, its followers end FAILED.
local function bury(job_id, code, now)
  local job = redis.call('HMGET', job_of .. job_id, 'stream', 'entryId', 'attempts', 'version', 'priority', 'options',
    'tenant')
  local followers = redis.call('SMEMBERS', followers_of .. job_id)
  local entry = redis.call('XRANGE', job[1], job[2], job[2])[1]
  local image = entry and field_of(entry, 'image') or ''
  local fields = { 'predictions', table.concat(followers, ' '), 'errorCode', code, 'attempts', job[3],
    'version', job[4], 'priority', job[5], 'options', job[6], 'tenant', job[7] or ANONYMOUS, 'image', image }
  redis.call('XADD', dead, '*', unpack(fields))
  redis.call('HINCRBY', counters, 'deadBytes', size_of(fields))
  for _, id in ipairs(followers) do finish(id, 'FAILED', now, { 'errorCode', code }) end
  drop_job(job_id)
  trim_dead(now)
end

-- Whether the prediction exists and the tenant may know of it. The same single read answers for an unknown id and for another
-- tenant's, so that the time tells nothing. What was queued before tenants were has none.
local function belongs_to(id, tenant)
  local found = redis.call('HMGET', prediction_of .. id, 'status', 'tenant')
  return found[1] and (tenant == '' or tenant == (found[2] or ANONYMOUS)) and true or false
end

-- A prediction as a reader gets it: its fields, and its computation's place among those that wait (0 is next, false: it does not wait).
local function snapshot(id)
  local state = redis.call('HGETALL', prediction_of .. id)
  if #state == 0 then return false end
  local rank = false
  if redis.call('HGET', prediction_of .. id, 'status') == 'QUEUED' then
    rank = redis.call('ZRANK', waiting, redis.call('HGET', prediction_of .. id, 'jobId'))
  end
  return { state, rank }
end
