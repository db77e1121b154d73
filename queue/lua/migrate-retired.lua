#!lua flags=allow-oom
-- Empties the streams of a version that no worker serves anymore, and retires the version once they are empty.
-- ARGV[1] JSON: from, to (versions), lanes, take (its images fit the other version: its jobs move there; else they end FAILED),
--   limit (at most so many jobs; 0 changes nothing)
-- Returns how many jobs it moved or ended, -1 if a worker serves the version or it is the current one
local request = cjson.decode(ARGV[1])
local now = now_ms()
if redis.call('HGET', specs, 'current') == request.from then return -1 end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', alive, '(' .. now, '+inf')) do
  if string.match(member, '^%S+') == request.from then return -1 end
end
if request.limit == 0 then return 0 end

refills = false

local function move(job_id, priority)
  local key = job_of .. job_id
  local fingerprint = redis.call('HGET', key, 'fingerprint')
  requeue(job_id, request.to, priority)
  -- A result of another version must not answer requests for this one if it comes back.
  if redis.call('GET', shared_of .. fingerprint) == job_id then redis.call('DEL', shared_of .. fingerprint) end
  redis.call('HSET', key, 'fingerprint', '', 'cacheTtlMs', 0)
  for _, id in ipairs(redis.call('SMEMBERS', predictions_of .. job_id)) do
    redis.call('HSET', prediction_of .. id, 'version', request.to)
  end
end

local count, left = 0, 0

local function migrate(job_id, priority)
  if request.take then move(job_id, priority) else bury(job_id, 'VERSION_RETIRED', now) end
  count = count + 1
end

for _, priority in ipairs(request.lanes) do
  local lane = lane_of(request.from, priority)
  local stream = stream_of .. lane
  -- Asked for no entries, XRANGE replies with nil instead of an empty list.
  local entries = count < request.limit and redis.call('XRANGE', stream, '-', '+', 'COUNT', request.limit - count) or {}
  for _, entry in ipairs(entries) do
    local job_id = field_of(entry, 'job')
    if redis.call('HGET', job_of .. job_id, 'entryId') == entry[1] then migrate(job_id, priority) end
    redis.pcall('XACK', stream, GROUP, entry[1])
    redis.call('XDEL', stream, entry[1])
  end
  for _, tenant in ipairs(redis.call('ZRANGE', active_of(lane), 0, -1)) do
    if count >= request.limit then break end
    for _, job_id in ipairs(redis.call('ZRANGE', backlog_of(lane, tenant), 0, request.limit - count - 1)) do migrate(job_id, priority) end
  end
  left = left + redis.call('XLEN', stream) + redis.call('ZCARD', active_of(lane))
end
if left == 0 then
  for _, priority in ipairs(request.lanes) do
    local lane = lane_of(request.from, priority)
    redis.call('DEL', stream_of .. lane, idle_of(lane))
    redis.call('HDEL', counters, 'virtual:' .. lane)
  end
  redis.call('HDEL', specs, request.from)
end
return count
