-- Second part of every step: which job is next. Priorities share the work by weight (priority-scheduler.ts). Within one,
-- tenants share it by start-time fair queueing (Goyal, Vin and Cheng, 1996). Each tenant has a tag in virtual time, at which its next job is
-- due. The smallest tag is served, virtual time moves up to it, and the tag grows by the work's cost over the tenant's weight. A tenant
-- that comes back starts no earlier than virtual time: being idle earns nothing.
-- A lane is one priority of one model version: it has a stream, and a backlog per tenant behind it. Only what the next worker may claim is
-- in the stream; the choice among tenants is made when a worker asks (feed.lua), so that a newcomer is in the very next batch.

-- A lane's jobs are ranked in `waiting`: first those in its stream, then its backlog.
local LANE_SPAN, BACKLOG_RANK = 2 ^ 48, 2 ^ 47
-- While a backlog waits, a stream holds this many unclaimed entries: enough to wake a worker.
local MAX_UNCLAIMED = 1
-- One unit of virtual time is this much machine time at weight 1. Tags are whole numbers, so that sums are exact.
local UNIT_US = 10
-- The assumed cost of a job until the first result.
local FIRST_GUESS_US = 1000
local IDLE_TAGS_MS = 60 * 60 * 1000

local function lane_of(version, priority) return version .. ':' .. priority end
local function active_of(lane) return fair_of .. lane .. ':active' end
local function idle_of(lane) return fair_of .. lane .. ':idle' end
local function counts_of(lane) return fair_of .. lane .. ':counts' end
local function backlog_of(lane, tenant) return fair_of .. lane .. ':backlog:' .. tenant end

local function next_arrival() return redis.call('HINCRBY', counters, 'arrivals', 1) end

-- Cache of values that only this step changes: a feed of a whole batch reads them once.
local known = { virtual = {} }

local function virtual_time(lane)
  if not known.virtual[lane] then known.virtual[lane] = tonumber(redis.call('HGET', counters, 'virtual:' .. lane) or '0') end
  return known.virtual[lane]
end

local function image_cost_us()
  known.image_us = known.image_us or tonumber(redis.call('HGET', counters, 'imageUs') or FIRST_GUESS_US)
  return known.image_us
end

local function units_of(cost_us, weight) return math.max(1, math.floor(cost_us / (UNIT_US * weight) + 0.5)) end

local function predict_units(weight)
  return units_of(image_cost_us(), weight)
end

local function weight_of(tenant) return tonumber(redis.call('HGET', weights, tenant) or '1') end

-- The virtual time of a tenant without a backlog.
local function start_tag(lane, tenant)
  return math.max(virtual_time(lane), tonumber(redis.call('ZSCORE', idle_of(lane), tenant) or '0'))
end

-- A tag at or below virtual time has no effect: the tenant starts at virtual time anyway.
local function keep_idle_tag(lane, tenant, tag)
  local idle = idle_of(lane)
  if tag <= virtual_time(lane) then
    redis.call('ZREM', idle, tenant)
  else
    redis.call('ZADD', idle, tag, tenant)
    redis.call('PEXPIRE', idle, IDLE_TAGS_MS)
  end
end

-- Moves a tenant's tag, backwards if it was charged too much.
local function charge(lane, tenant, units)
  if units == 0 then return end
  if redis.call('ZSCORE', active_of(lane), tenant) then
    redis.call('ZINCRBY', active_of(lane), units, tenant)
  else
    keep_idle_tag(lane, tenant, start_tag(lane, tenant) + units)
  end
end

-- charged: the field of the job's hash, false if it was never charged
local function refund(lane, tenant, charged)
  if charged then charge(lane, tenant, -tonumber(charged)) end
end

local function advance(lane, tag)
  if tag <= virtual_time(lane) then return end
  redis.call('HSET', counters, 'virtual:' .. lane, tag)
  known.virtual[lane] = tag
  redis.call('ZREMRANGEBYSCORE', idle_of(lane), '-inf', tag)
end

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

-- What count_before has read of each lane in this step; an admission reads it again after its change.
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

-- Whether one name sorts before another as in a sorted set: by bytes. Lua's comparison depends on the locale.
local function precedes(a, b)
  for i = 1, math.min(#a, #b) do
    local left, right = string.byte(a, i), string.byte(b, i)
    if left ~= right then return left < right end
  end
  return #a < #b
end

-- Per tenant with a backlog in this lane: its tag, the number of its jobs, and the virtual time that each is charged.
local function read_backlog(lane)
  local backlog = { tags = {}, counts = {}, units = {} }
  local flat = redis.call('ZRANGE', active_of(lane), 0, -1, 'WITHSCORES')
  local names = {}
  for i = 1, #flat, 2 do
    table.insert(names, flat[i])
    backlog.tags[flat[i]] = tonumber(flat[i + 1])
  end
  if #names == 0 then return backlog end
  local image_us = image_cost_us()
  local counted, weighed = redis.call('HMGET', counts_of(lane), unpack(names)), redis.call('HMGET', weights, unpack(names))
  for i, tenant in ipairs(names) do
    backlog.counts[tenant] = tonumber(counted[i])
    backlog.units[tenant] = units_of(image_us, tonumber(weighed[i] or '1'))
  end
  return backlog
end

-- How many jobs of the backlog go before a tenant's job: `ahead` of the same tenant, and those of others whose tags come first.
-- A tenant's n-th job is due at its tag plus n times its charge; equal tags go by the tenants' names, as in a sorted set.
local function count_before(lane, tenant, ahead, tag, units)
  backlogs[lane] = backlogs[lane] or read_backlog(lane)
  local backlog = backlogs[lane]
  local due, before = tag + ahead * units, ahead
  for other, other_tag in pairs(backlog.tags) do
    local distance, other_units = due - other_tag, backlog.units[other]
    if other ~= tenant and distance >= 0 then
      local earlier = math.ceil(distance / other_units)
      if distance % other_units == 0 and precedes(other, tenant) then earlier = earlier + 1 end
      before = before + math.min(backlog.counts[other], earlier)
    end
  end
  return before
end

-- A waiting job's position: 0 is next; false if it does not wait.
local function rank_of(job_id)
  local score = tonumber(redis.call('ZSCORE', waiting, job_id) or nil)
  if not score then return false end
  local base = math.floor(score / LANE_SPAN) * LANE_SPAN + BACKLOG_RANK
  if score < base then return redis.call('ZRANK', waiting, job_id) end
  local job = redis.call('HMGET', job_of .. job_id, 'tenant', 'version', 'priority')
  local lane = lane_of(job[2], job[3])
  -- With one tenant, jobs run in the order of arrival.
  if redis.call('ZCARD', active_of(lane)) == 1 then return redis.call('ZRANK', waiting, job_id) end
  local ahead = redis.call('ZRANK', backlog_of(lane, job[1]), job_id)
  local tag = tonumber(redis.call('ZSCORE', active_of(lane), job[1]))
  return redis.call('ZCOUNT', waiting, '-inf', '(' .. string.format('%.17g', base)) + count_before(lane, job[1], ahead, tag, predict_units(weight_of(job[1])))
end
