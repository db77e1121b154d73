#!lua
-- Accepts one prediction, or says why not. Sent again with the same id it answers with what the first send did.
-- ARGV[1] JSON: id, model, tenant, version, priority, lane (0 is the most urgent), timeoutMs, ttlMs, maxAttempts, graceMs, maxQueueSize,
--   maxQueuedBytes, options (text), fingerprint (digest of tenant, pixels, version and options), share, cacheTtlMs, idempotency (absent, or
--   key: digest of tenant and key, content: digest of what was sent under it), retryOf (absent or an id)
-- ARGV[2] the pixels
-- Returns {'admitted', snapshot} | {'queueFull', waiting, bytes} | {'unavailable'} | {'staleVersion'} | {'idempotencyConflict'}
local request = cjson.decode(ARGV[1])
local image = ARGV[2]
local now = now_ms()
local id = request.id
local key = prediction_of .. id
-- Each step on a computation touches all who follow it; more of them are another computation.
local MAX_FOLLOWERS = 100

if redis.call('EXISTS', key) == 1 then return { 'admitted', snapshot(id) } end

local idempotency = request.idempotency and idempotency_of .. request.idempotency.key
if idempotency then
  local known = redis.call('HMGET', idempotency, 'id', 'content')
  local status = known[1] and redis.call('HGET', prediction_of .. known[1], 'status')
  -- After a prediction that gave no answer the same key may try anew.
  if status and (status == 'QUEUED' or status == 'PROCESSING' or status == 'SUCCEEDED') then
    if known[2] ~= request.idempotency.content then return { 'idempotencyConflict' } end
    return { 'admitted', snapshot(known[1]) }
  end
end

if redis.call('HGET', specs, 'current') ~= request.version then return { 'staleVersion' } end

local state = {
  'id', id, 'revision', 1, 'model', request.model, 'tenant', request.tenant, 'version', request.version, 'priority', request.priority,
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
    redis.call('HSET', idempotency, 'id', id, 'content', request.idempotency.content)
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

local stream = stream_of .. request.version .. ':' .. request.priority

local function next_rank()
  return request.lane * 2 ^ 48 + redis.call('HINCRBY', counters, 'arrivals', 1)
end

-- A more urgent follower takes the computation into its own lane, unless a worker has it in hand already.
local function hasten(job_id)
  local rank = tonumber(redis.call('ZSCORE', waiting, job_id))
  if rank < (request.lane + 1) * 2 ^ 48 then return end
  local job = redis.call('HMGET', job_of .. job_id, 'stream', 'entryId')
  if redis.pcall('XPENDING', job[1], GROUP, job[2], job[2], 1)[1] then return end
  move_entry(job_id, stream)
  redis.call('HSET', job_of .. job_id, 'priority', request.priority)
  redis.call('ZADD', waiting, next_rank(), job_id)
end

local shared_job = request.share and redis.call('GET', shared_of .. request.fingerprint)
if shared_job and redis.call('SCARD', followers_of .. shared_job) < MAX_FOLLOWERS then
  local attempts = redis.call('HGET', job_of .. shared_job, 'attempts')
  if attempts then
    if tonumber(attempts) > 0 then
      create('status', 'PROCESSING', 'jobId', shared_job, 'attempts', attempts, 'cached', 1, 'startedAtMs', now)
    else
      hasten(shared_job)
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

local entry_id = redis.call('XADD', stream, '*', 'job', id, 'tenant', request.tenant, 'options', request.options, 'image', image)
redis.call('HSET', job_of .. id, 'stream', stream, 'entryId', entry_id, 'bytes', #image, 'attempts', 0,
  'maxAttempts', request.maxAttempts, 'fingerprint', request.fingerprint, 'cacheTtlMs', request.cacheTtlMs,
  'version', request.version, 'priority', request.priority, 'options', request.options, 'tenant', request.tenant)
redis.call('SADD', followers_of .. id, id)
redis.call('ZADD', waiting, next_rank(), id)
redis.call('ZADD', deadlines, now + request.timeoutMs, id)
redis.call('HINCRBY', counters, 'bytes', #image)
if request.share then redis.call('SET', shared_of .. request.fingerprint, id) end
create('status', 'QUEUED', 'jobId', id, 'attempts', 0, 'cached', 0)
return { 'admitted', snapshot(id) }
