#!lua
-- Admits one prediction, or returns why it is refused. Sent again with the same id, it returns what the first send did.
-- ARGV[1] JSON: id, model, tenant, weight (absent: the tenant's last), tenantShare, fair, version, priority, timeoutMs, ttlMs, maxAttempts, graceMs, maxQueueSize,
--   maxQueuedBytes, options (text), fingerprint (digest of tenant, pixels, version and options; empty if it is neither shared nor cached), share, cacheTtlMs, idempotency (absent, or
--   key: digest of tenant and key, content: digest of what was sent under it), retryOf (absent or an id),
--   repeatOnly (admit nothing new: only what the idempotency key already names),
--   charge (absent, or the charge to its caller's limits, opaque here), capacityPerSecond (absent, or the measured rate of all workers: unreachable deadlines are refused)
-- ARGV[2] the pixels
-- Returns {'admitted', snapshot} | {'queueFull', waiting, bytes} | {'deadlineUnreachable', how late in ms} | {'unavailable'} | {'staleVersion'} | {'idempotencyConflict'} | {'notRepeated'}
local request = cjson.decode(ARGV[1])
local image = ARGV[2]
local now = now_ms()
local id = request.id
request.weight = request.weight or weight_of(request.tenant)
local key = prediction_of .. id
-- Each step on a job updates all predictions that share it, so their number is bounded; others get another job.
local MAX_PREDICTIONS = 100

if redis.call('EXISTS', key) == 1 then return { 'admitted', snapshot(id) } end
-- Its charge was refunded meanwhile (resolve-admission.lua).
if request.charge and redis.call('EXISTS', refused_of .. id) == 1 then return { 'unavailable' } end

local idempotency = request.idempotency and idempotency_of .. request.idempotency.key
if idempotency then
  local known = redis.call('HMGET', idempotency, 'id', 'content')
  local status = known[1] and redis.call('HGET', prediction_of .. known[1], 'status')
  -- After a prediction without a result, the same key may be used again.
  if status and (status == 'QUEUED' or status == 'PROCESSING' or status == 'SUCCEEDED') then
    if known[2] ~= request.idempotency.content then return { 'idempotencyConflict' } end
    return { 'admitted', snapshot(known[1]) }
  end
end

if request.repeatOnly then return { 'notRepeated' } end
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
-- Predictions that share a job have no separate pixels, but their states also take memory.
local open, max_open = redis.call('ZCARD', deadlines), request.maxQueueSize * 10

-- No tenant can fill the queue: each may hold a multiple of the free space, so that some space stays free for any number of tenants
-- (dynamic thresholds: Choudhury and Hahne, 1998). For a single tenant, this limit is tenantShare of the queue.
local function is_its_part(held, free)
  local share = request.tenantShare
  return share < 1 and held > 0 and held * (1 - share) + 1e-9 >= free * share
end

local function held_in(counts) return tonumber(redis.call('HGET', counts, request.tenant) or '0') end

if open >= max_open or is_its_part(held_in(open_of_tenants), max_open - open) then return { 'queueFull', in_queue, bytes } end

local next_lane = (LANES[request.priority] + 1) * LANE_SPAN

-- A more urgent prediction moves the job to its own lane, unless a worker has claimed the job. Returns whether it did.
local function raise_priority(job_id)
  local rank = tonumber(redis.call('ZSCORE', waiting, job_id))
  if rank < next_lane then return false end
  local job = redis.call('HMGET', job_of .. job_id, 'stream', 'entryId')
  if job[2] ~= '' and redis.pcall('XPENDING', job[1], GROUP, job[2], job[2], 1)[1] then return false end
  local from = redis.call('HGET', job_of .. job_id, 'priority')
  requeue(job_id, request.version, request.priority)
  refill(request.version, from)
  return true
end

-- A job in another tenant's backlog may wait long, however short this tenant's backlog is.
local function may_share(job_id)
  if redis.call('SCARD', predictions_of .. job_id) >= MAX_PREDICTIONS then return false end
  local job = redis.call('HMGET', job_of .. job_id, 'tenant', 'entryId')
  return job[2] ~= '' or job[1] == request.tenant
end

-- When the job would end at the measured rate, in milliseconds from now.
local function predict_end_ms()
  local lane = lane_of(request.version, request.priority)
  local backlog = LANES[request.priority] * LANE_SPAN + BACKLOG_RANK
  local before = redis.call('ZCOUNT', waiting, '-inf', string.format('(%.17g', backlog))
  if redis.call('EXISTS', active_of(lane)) == 1 then
    local own = tonumber(redis.call('HGET', counts_of(lane), request.tenant) or '0')
    local tag = tonumber(redis.call('ZSCORE', active_of(lane), request.tenant) or start_tag(lane, request.tenant))
    before = before + count_before(lane, request.tenant, own, tag, predict_units(request.weight))
  end
  return (before + 1) * 1000 / request.capacityPerSecond
end

local shared_job = request.share and redis.call('GET', shared_of .. request.fingerprint)
if shared_job and may_share(shared_job) then
  local attempts = redis.call('HGET', job_of .. shared_job, 'attempts')
  if attempts then
    local is_raised = false
    if tonumber(attempts) > 0 then
      create('status', 'PROCESSING', 'jobId', shared_job, 'attempts', attempts, 'cached', 1, 'startedAtMs', now)
    else
      is_raised = raise_priority(shared_job)
      create('status', 'QUEUED', 'jobId', shared_job, 'attempts', 0, 'cached', 1)
    end
    redis.call('SADD', predictions_of .. shared_job, id)
    redis.call('ZADD', deadlines, now + request.timeoutMs, id)
    count_open(request.tenant, 1)
    if is_raised then send_state(id, 1) end
    return { 'admitted', snapshot(id) }
  end
end

local alive_until = tonumber(redis.call('HGET', counters, 'aliveUntilMs') or '0')
if alive_until + request.graceMs < now then return { 'unavailable' } end
local held = held_in(tenants)
if in_queue >= request.maxQueueSize or bytes + #image > request.maxQueuedBytes
  or is_its_part(held, request.maxQueueSize - in_queue) or is_its_part(held * #image, request.maxQueuedBytes - bytes) then
  return { 'queueFull', in_queue, bytes }
end
if request.capacityPerSecond then
  local late_ms = predict_end_ms() - request.timeoutMs
  if late_ms > 0 then return { 'deadlineUnreachable', math.ceil(late_ms) } end
end

redis.call('HSET', job_of .. id, 'bytes', #image, 'attempts', 0, 'maxAttempts', request.maxAttempts,
  'fingerprint', request.fingerprint, 'cacheTtlMs', request.cacheTtlMs, 'version', request.version, 'priority', request.priority,
  'options', request.options, 'tenant', request.tenant)
if request.fair then redis.call('HSET', job_of .. id, 'weight', request.weight) end
if request.charge then redis.call('HSET', job_of .. id, 'charge', request.charge) end
redis.call('HINCRBY', tenants, request.tenant, 1)
redis.call('HSET', weights, request.tenant, request.weight)
enqueue(id, { version = request.version, priority = request.priority, tenant = request.tenant, weight = request.weight,
  options = request.options, fair = request.fair, image = image })
redis.call('SADD', predictions_of .. id, id)
redis.call('ZADD', deadlines, now + request.timeoutMs, id)
redis.call('HINCRBY', counters, 'bytes', #image)
if request.share then redis.call('SET', shared_of .. request.fingerprint, id) end
create('status', 'QUEUED', 'jobId', id, 'attempts', 0, 'cached', 0)
count_open(request.tenant, 1)
-- Publish: this may have moved predictions of other tenants or of lower priorities back, and no other event reports that.
if redis.call('ZCARD', active_of(lane_of(request.version, request.priority))) > 1
  or redis.call('ZCOUNT', waiting, next_lane, '+inf') > 0 then
  send_state(id, 1)
end
return { 'admitted', snapshot(id) }
