#!lua
-- Accepts one prediction, or says why not. Sent again with the same id it answers with what the first send did.
-- ARGV[1] JSON: id, version, priority, lane (0 is the most urgent), timeoutMs, ttlMs, maxAttempts, graceMs, maxQueueSize,
--   maxQueuedBytes, options (text), fingerprint (digest of pixels, version and options), share, cacheTtlMs, idempotency (digest or
--   absent), retryOf (absent or an id)
-- ARGV[2] the pixels
-- Returns {'admitted', snapshot} | {'queueFull', waiting, bytes} | {'unavailable'} | {'staleVersion'} | {'idempotencyConflict'}
local request = cjson.decode(ARGV[1])
local image = ARGV[2]
local now = now_ms()
local id = request.id
local key = prediction_of .. id

if redis.call('EXISTS', key) == 1 then return { 'admitted', snapshot(id) } end

local idempotency = request.idempotency and idempotency_of .. request.idempotency
if idempotency then
  local known = redis.call('HMGET', idempotency, 'id', 'fingerprint')
  local status = known[1] and redis.call('HGET', prediction_of .. known[1], 'status')
  -- After a prediction that gave no answer the same key may try anew.
  if status and (status == 'QUEUED' or status == 'PROCESSING' or status == 'SUCCEEDED') then
    if known[2] ~= request.fingerprint then return { 'idempotencyConflict' } end
    return { 'admitted', snapshot(known[1]) }
  end
end

if redis.call('HGET', specs, 'current') ~= request.version then return { 'staleVersion' } end

local state = {
  'id', id, 'revision', 1, 'model', request.model, 'version', request.version, 'priority', request.priority,
  'createdAtMs', now, 'deadlineMs', now + request.timeoutMs, 'ttlMs', request.ttlMs,
}
if request.retryOf then
  table.insert(state, 'retryOf')
  table.insert(state, request.retryOf)
end

local function create(...)
  redis.call('HSET', key, unpack(state))
  redis.call('HSET', key, ...)
  if idempotency then
    redis.call('HSET', idempotency, 'id', id, 'fingerprint', request.fingerprint)
    redis.call('PEXPIRE', idempotency, request.timeoutMs + request.ttlMs)
  end
end

if request.cacheTtlMs > 0 then
  local cached = redis.call('GET', cache_of .. request.fingerprint)
  if cached then
    local fields = cjson.decode(cached)
    create('status', 'SUCCEEDED', 'jobId', id, 'attempts', 0, 'cached', 1, 'finishedAtMs', now, unpack(fields))
    redis.call('HINCRBY', counters, 'ended:SUCCEEDED', 1)
    redis.call('PEXPIRE', key, request.ttlMs)
    return { 'admitted', snapshot(id) }
  end
end

local in_queue = redis.call('ZCARD', waiting)
local bytes = tonumber(redis.call('HGET', counters, 'bytes') or '0')
-- Followers hold no pixels, but their states are memory too.
if redis.call('ZCARD', deadlines) >= request.maxQueueSize * 10 then return { 'queueFull', in_queue, bytes } end

local shared_job = request.share and redis.call('GET', shared_of .. request.fingerprint)
if shared_job then
  local job = redis.call('HMGET', job_of .. shared_job, 'attempts', 'startedAtMs')
  if job[1] then
    if tonumber(job[1]) > 0 then
      create('status', 'PROCESSING', 'jobId', shared_job, 'attempts', job[1], 'cached', 1, 'startedAtMs', now)
    else
      create('status', 'QUEUED', 'jobId', shared_job, 'attempts', 0, 'cached', 1)
    end
    redis.call('SADD', followers_of .. shared_job, id)
    redis.call('ZADD', deadlines, now + request.timeoutMs, id)
    return { 'admitted', snapshot(id) }
  end
end

local alive_until = tonumber(redis.call('HGET', counters, 'aliveUntilMs') or '0')
if alive_until + request.graceMs < now then return { 'unavailable' } end
if in_queue >= request.maxQueueSize or bytes + #image > request.maxQueuedBytes then
  return { 'queueFull', in_queue, bytes }
end

local stream = stream_of .. request.version .. ':' .. request.priority
local entry_id = redis.call('XADD', stream, '*', 'job', id, 'options', request.options, 'image', image)
redis.call('HSET', job_of .. id, 'stream', stream, 'entryId', entry_id, 'bytes', #image, 'attempts', 0,
  'maxAttempts', request.maxAttempts, 'fingerprint', request.fingerprint, 'cacheTtlMs', request.cacheTtlMs,
  'version', request.version, 'priority', request.priority, 'options', request.options)
redis.call('SADD', followers_of .. id, id)
local arrival = redis.call('HINCRBY', counters, 'arrivals', 1)
redis.call('ZADD', waiting, request.lane * 2 ^ 48 + arrival, id)
redis.call('ZADD', deadlines, now + request.timeoutMs, id)
redis.call('HINCRBY', counters, 'bytes', #image)
if request.share then redis.call('SET', shared_of .. request.fingerprint, id) end
create('status', 'QUEUED', 'jobId', id, 'attempts', 0, 'cached', 0)
return { 'admitted', snapshot(id) }
