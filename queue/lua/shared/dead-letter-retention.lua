-- Part of every step: keeps jobs that failed for good as dead letters, up to a size and an age.

local MAX_DEAD_BYTES = 64 * 1024 * 1024
local MAX_DEAD_AGE_MS = 7 * 24 * 60 * 60 * 1000
-- How many dead letters one step removes at most, so that Redis is never blocked for long.
local TRIM_AT_ONCE = 50

-- A dead letter's size in bytes: all names and values, not only the image, which may be small.
local function size_of(fields)
  local bytes = 0
  for _, text in ipairs(fields) do bytes = bytes + #text end
  return bytes
end

-- entry: as XRANGE gives it
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

-- The job failed for good: its pixels move to the dead letters, its predictions end FAILED.
local function bury(job_id, code, now)
  local job = redis.call('HMGET', job_of .. job_id, 'stream', 'entryId', 'attempts', 'version', 'priority', 'options',
    'tenant')
  local predictions = redis.call('SMEMBERS', predictions_of .. job_id)
  local image = pixels_of(job_id, job[1], job[2])
  local fields = { 'predictions', table.concat(predictions, ' '), 'errorCode', code, 'attempts', job[3],
    'version', job[4], 'priority', job[5], 'options', job[6], 'tenant', job[7] or ANONYMOUS, 'image', image }
  redis.call('XADD', dead, '*', unpack(fields))
  redis.call('HINCRBY', counters, 'deadBytes', size_of(fields))
  for _, id in ipairs(predictions) do finish(id, 'FAILED', now, { 'errorCode', code }) end
  drop_job(job_id)
  trim_dead(now)
end
