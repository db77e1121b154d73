-- Part of every step: puts jobs into lanes and takes them out. Only what the next worker may claim is in a lane's stream, the other jobs are in
-- the backlogs behind it. The choice among tenants is made when a worker asks (feed.lua), so that a newcomer is in the very next batch.

-- A lane's jobs are ranked in `waiting`: first those in its stream, then its backlog.
local LANE_SPAN, BACKLOG_RANK = 2 ^ 48, 2 ^ 47
-- While a backlog waits, a stream holds this many unclaimed entries: enough to wake a worker.
local MAX_UNCLAIMED = 1

local function next_arrival() return redis.call('HINCRBY', counters, 'arrivals', 1) end

-- Entries of a stream that no worker has claimed. There is no group before the first worker.
local function count_unclaimed(stream)
  local length = redis.call('XLEN', stream)
  if length == 0 then return 0 end
  local pending = redis.pcall('XPENDING', stream, GROUP)
  return length - (pending.err and 0 or pending[1])
end

-- One field of a stream's entry, '' if it has no such field.
local function field_of(entry, name)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == name then return entry[2][i + 1] end
  end
  return ''
end

-- Pixels come with the entry, or stay in the job's hash, where a worker fetches them: copying them here would cost Redis more than everything else.
local function write_entry(stream, job_id, tenant, options, redelivered, image)
  local fields = { 'job', job_id, 'tenant', tenant, 'options', options, 'redelivered', redelivered }
  if image then
    table.insert(fields, 'image')
    table.insert(fields, image)
  end
  local entry_id = redis.call('XADD', stream, '*', unpack(fields))
  redis.call('HSET', job_of .. job_id, 'stream', stream, 'entryId', entry_id)
end

-- The pixels of a queued job, '' if they are lost.
local function pixels_of(job_id, stream, entry_id)
  local entry = entry_id ~= '' and redis.call('XRANGE', stream, entry_id, entry_id)[1]
  local image = entry and field_of(entry, 'image') or ''
  return image ~= '' and image or redis.call('HGET', job_of .. job_id, 'image') or ''
end

-- Moves the oldest job of the tenant with the smallest tag to the stream. Returns whether there was one.
local function promote(version, priority)
  local lane = lane_of(version, priority)
  local active = active_of(lane)
  local first = redis.call('ZRANGE', active, 0, 0, 'WITHSCORES')
  local tenant, tag = first[1], tonumber(first[2])
  if not tenant then return false end
  local job_id = redis.call('ZPOPMIN', backlog_of(lane, tenant))[1]
  local units = predict_units(weight_of(tenant))
  write_entry(stream_of .. lane, job_id, tenant, redis.call('HGET', job_of .. job_id, 'options'), '0', nil)
  redis.call('HSET', job_of .. job_id, 'charged', units)
  redis.call('ZADD', waiting, LANES[priority] * LANE_SPAN + next_arrival(), job_id)
  advance(lane, tag)
  if redis.call('HINCRBY', counts_of(lane), tenant, -1) > 0 then
    redis.call('ZINCRBY', active, units, tenant)
  else
    redis.call('HDEL', counts_of(lane), tenant)
    redis.call('ZREM', active, tenant)
    keep_idle_tag(lane, tenant, tag + units)
  end
  return true
end

-- An entry wakes a blocked worker, so a lane with a backlog must have one. A step that empties a lane switches this off.
local refills = true
local function refill(version, priority)
  if not refills then return end
  local lane = lane_of(version, priority)
  if redis.call('EXISTS', active_of(lane)) == 1 and count_unclaimed(stream_of .. lane) < MAX_UNCLAIMED then
    promote(version, priority)
  end
end

-- What queue-position.lua has read of each lane in this step; an admission reads it again after its change.
local backlogs = {}

-- Queues a job that has not begun: at once in the stream if there is no backlog before it, else in its tenant's backlog.
-- job: version, priority, tenant, weight, options, fair, image (nil: it is in the job's hash)
local function enqueue(job_id, job)
  local lane = lane_of(job.version, job.priority)
  local stream, active, arrival = stream_of .. lane, active_of(lane), next_arrival()
  local rank = LANES[job.priority] * LANE_SPAN + arrival
  if not job.fair then
    write_entry(stream, job_id, job.tenant, job.options, '0', job.image)
  elseif redis.call('EXISTS', active) == 0 and count_unclaimed(stream) < MAX_UNCLAIMED then
    write_entry(stream, job_id, job.tenant, job.options, '0', job.image)
    local tag, units = start_tag(lane, job.tenant), predict_units(job.weight)
    redis.call('HSET', job_of .. job_id, 'charged', units)
    advance(lane, tag)
    keep_idle_tag(lane, job.tenant, tag + units)
  else
    rank = rank + BACKLOG_RANK
    redis.call('HSET', job_of .. job_id, 'stream', stream, 'entryId', '')
    if job.image then redis.call('HSET', job_of .. job_id, 'image', job.image) end
    redis.call('ZADD', backlog_of(lane, job.tenant), arrival, job_id)
    redis.call('HINCRBY', counts_of(lane), job.tenant, 1)
    redis.call('ZADD', active, 'NX', start_tag(lane, job.tenant), job.tenant)
    redis.call('ZREM', idle_of(lane), job.tenant)
  end
  redis.call('ZADD', waiting, rank, job_id)
  backlogs = {}
end

-- Removes a job's entry from its stream, or the job from its tenant's backlog.
local function leave_queue(job_id, stream, entry_id, lane, tenant)
  if entry_id ~= '' then
    redis.call('XACK', stream, GROUP, entry_id)
    redis.call('XDEL', stream, entry_id)
    return
  end
  redis.call('ZREM', backlog_of(lane, tenant), job_id)
  if redis.call('HINCRBY', counts_of(lane), tenant, -1) > 0 then return end
  redis.call('HDEL', counts_of(lane), tenant)
  local tag = tonumber(redis.call('ZSCORE', active_of(lane), tenant))
  redis.call('ZREM', active_of(lane), tenant)
  keep_idle_tag(lane, tenant, tag)
end

-- Stops counting the job as waiting.
local function stop_waiting(job_id, tenant)
  redis.call('ZREM', waiting, job_id)
  if redis.call('HINCRBY', tenants, tenant, -1) > 0 then return end
  redis.call('HDEL', tenants, tenant)
  redis.call('HDEL', weights, tenant)
end

-- Moves a queued job to another lane. If a worker has claimed its old entry, the start step reports it as gone.
local function requeue(job_id, version, priority)
  local key = job_of .. job_id
  local job = redis.call('HMGET', key, 'stream', 'entryId', 'options', 'attempts', 'tenant', 'version', 'priority', 'weight',
    'charged')
  local tenant, from = job[5] or ANONYMOUS, lane_of(job[6], job[7])
  local image = job[2] ~= '' and pixels_of(job_id, job[1], job[2]) or nil
  leave_queue(job_id, job[1], job[2], from, tenant)
  redis.call('HSET', key, 'version', version, 'priority', priority)
  if tonumber(job[4]) > 0 then
    write_entry(stream_of .. lane_of(version, priority), job_id, tenant, job[3], '1', image)
    return
  end
  refund(from, tenant, job[9])
  redis.call('HDEL', key, 'charged')
  enqueue(job_id, { version = version, priority = priority, tenant = tenant, weight = tonumber(job[8] or '1'), options = job[3],
    fair = job[8], image = image })
end
