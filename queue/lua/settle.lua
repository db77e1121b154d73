#!lua flags=allow-oom
-- Settles jobs with the outcomes of their attempts. A success counts from any attempt, a failure only from the current one.
-- ARGV[1] JSON: a list of {jobId, attempt, and either result (text), inferenceMs, batchSize, version (absent: a worker of an earlier release), or errorCode, retryable}
-- Returns one word per job: 'settled' | 'retry' (failed with attempts left: the caller starts it again) | 'gone' (ended before)
local now = now_ms()
local settlements = {}
-- Weight of one image's time in the average by which the next images are charged.
local PACE_WEIGHT = 0.1
local average_us

-- The tenant pays for the measured time, not for the estimate.
local function correct_charge(job_id, outcome)
  local job = redis.call('HMGET', job_of .. job_id, 'tenant', 'version', 'priority', 'weight', 'charged')
  local image_us = outcome.inferenceMs * 1000 / outcome.batchSize
  average_us = average_us or tonumber(redis.call('HGET', counters, 'imageUs') or image_us)
  average_us = average_us + (image_us - average_us) * PACE_WEIGHT
  if job[5] then charge(lane_of(job[2], job[3]), job[1] or ANONYMOUS, units_of(image_us, tonumber(job[4])) - tonumber(job[5])) end
end

local function succeed(job_id, cache_ttl_ms, fingerprint, outcome)
  local fields = { 'result', outcome.result, 'inferenceMs', outcome.inferenceMs, 'batchSize', outcome.batchSize }
  -- The job may have moved to another version since this worker started it.
  if outcome.version then
    table.insert(fields, 'version')
    table.insert(fields, outcome.version)
  end
  for _, id in ipairs(redis.call('SMEMBERS', predictions_of .. job_id)) do finish(id, 'SUCCEEDED', now, fields) end
  if cache_ttl_ms > 0 then
    redis.call('SET', cache_of .. fingerprint, cjson.encode(fields), 'PX', cache_ttl_ms)
  end
  correct_charge(job_id, outcome)
  drop_job(job_id)
  return 'settled'
end

for i, outcome in ipairs(cjson.decode(ARGV[1])) do
  local key = job_of .. outcome.jobId
  local job = redis.call('HMGET', key, 'attempts', 'maxAttempts', 'cacheTtlMs', 'fingerprint')
  if not job[1] then
    settlements[i] = 'gone'
  elseif outcome.result then
    settlements[i] = succeed(outcome.jobId, tonumber(job[3]), job[4], outcome)
  elseif tonumber(job[1]) ~= outcome.attempt then
    settlements[i] = 'gone'
  elseif outcome.retryable and tonumber(job[1]) < tonumber(job[2]) then
    settlements[i] = 'retry'
  else
    bury(outcome.jobId, outcome.errorCode, now)
    settlements[i] = 'settled'
  end
end
if average_us then redis.call('HSET', counters, 'imageUs', average_us) end
return settlements
