-- Part of every step: ending predictions and jobs, and the snapshots that readers get.

-- Removes the job from Redis, its pixels first.
local function drop_job(job_id)
  local key = job_of .. job_id
  local job = redis.call('HMGET', key, 'stream', 'entryId', 'bytes', 'fingerprint', 'attempts', 'tenant', 'version', 'priority',
    'charged', 'charge')
  if not job[1] then return end
  local lane, tenant, waits = lane_of(job[7], job[8]), job[6] or ANONYMOUS, tonumber(job[5]) == 0
  leave_queue(job_id, job[1], job[2], lane, tenant)
  redis.call('HINCRBY', counters, 'bytes', -tonumber(job[3]))
  if waits then
    stop_waiting(job_id, tenant)
    refund(lane, tenant, job[9])
    -- Limits are on another Cluster slot: a server gives back what no worker began (refunds.ts).
    if job[10] then redis.call('ZADD', refunds, now_ms(), job_id .. ' ' .. job[10]) end
    if job[2] ~= '' then refill(job[7], job[8]) end
  else
    -- At 0 all tenants are: an older release ends jobs without counting them per tenant.
    if redis.call('HINCRBY', counters, 'processing', -1) <= 0 then
      redis.call('DEL', running)
    elseif redis.call('HINCRBY', running, tenant, -1) <= 0 then
      redis.call('HDEL', running, tenant)
    end
  end
  if job[4] and redis.call('GET', shared_of .. job[4]) == job_id then redis.call('DEL', shared_of .. job[4]) end
  redis.call('DEL', key, predictions_of .. job_id)
end

local function count_open(tenant, change)
  if redis.call('HINCRBY', open_of_tenants, tenant, change) <= 0 then redis.call('HDEL', open_of_tenants, tenant) end
end

-- The only way into a terminal status. The first transition wins: callers make sure that the status is not terminal yet.
local function finish(id, status, now, fields)
  local key = prediction_of .. id
  redis.call('HSET', key, 'status', status, 'finishedAtMs', now, unpack(fields))
  redis.call('ZREM', deadlines, id)
  redis.call('HINCRBY', counters, 'ended:' .. status, 1)
  publish(id)
  local kept = redis.call('HMGET', key, 'ttlMs', 'tenant')
  redis.call('PEXPIRE', key, kept[1])
  count_open(kept[2] or ANONYMOUS, -1)
end

-- Ends one prediction without a result. Its job continues only if another prediction shares it.
local function finish_without_result(id, status, now, fields)
  local job_id = redis.call('HGET', prediction_of .. id, 'jobId')
  finish(id, status, now, fields)
  redis.call('SREM', predictions_of .. job_id, id)
  local others = redis.call('SMEMBERS', predictions_of .. job_id)
  if #others == 0 then
    drop_job(job_id)
  elseif redis.call('HGET', prediction_of .. id, 'cached') == '0' then
    -- The work is one prediction's, so that it is counted once.
    redis.call('HSET', prediction_of .. others[1], 'cached', 0)
  end
end

-- Whether the prediction exists and belongs to the tenant. The same single read answers for an unknown id and for another
-- tenant's, so that the time reveals nothing. Predictions from before tenants existed have none.
local function belongs_to(id, tenant)
  local found = redis.call('HMGET', prediction_of .. id, 'status', 'tenant')
  return found[1] and (tenant == '' or tenant == (found[2] or ANONYMOUS)) and true or false
end

-- A prediction's snapshot: its fields as JSON, as events have them, and its job's position among those that wait (0 is next, false: it does not wait).
local function snapshot(id)
  local state = redis.call('HGETALL', prediction_of .. id)
  if #state == 0 then return false end
  local rank = false
  if redis.call('HGET', prediction_of .. id, 'status') == 'QUEUED' then
    rank = rank_of(redis.call('HGET', prediction_of .. id, 'jobId'))
  end
  return { cjson.encode(state), rank }
end
