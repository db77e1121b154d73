#!lua flags=allow-oom
-- Starts an attempt of each job, unless it was canceled, has expired or has no attempts left. Sent again, it returns the attempt that the first send started.
-- ARGV[1] JSON: worker, jobs: a list of {jobId, entryId, stream, known: the latest attempt that the worker knows of}
-- Returns a number per job: the attempt, which fences every later step; 0 if there is nothing to run, or another worker reclaimed it
local request = cjson.decode(ARGV[1])
local now = now_ms()
local attempts_started = {}
local lanes_to_refill = {}

local function start(job_id, entry_id, stream, known)
  local key = job_of .. job_id
  local job = redis.call('HMGET', key, 'entryId', 'attempts', 'maxAttempts', 'worker', 'version', 'priority',
    'tenant', 'weight')
  if job[1] ~= entry_id then
    -- Its predictions ended meanwhile, or it is not a job of InferQL.
    redis.call('XACK', stream, GROUP, entry_id)
    redis.call('XDEL', stream, entry_id)
    return 0
  end
  local pending = redis.call('XPENDING', stream, GROUP, entry_id, entry_id, 1)[1]
  if not pending or pending[2] ~= request.worker then return 0 end
  for _, id in ipairs(redis.call('SMEMBERS', predictions_of .. job_id)) do
    if tonumber(redis.call('HGET', prediction_of .. id, 'deadlineMs')) <= now then
      finish_without_result(id, 'EXPIRED', now, { 'errorCode', 'DEADLINE_EXCEEDED' })
    end
  end
  if redis.call('EXISTS', key) == 0 then return 0 end
  -- The worker has already started this attempt, but the reply was lost.
  if job[4] == request.worker and tonumber(job[2]) > known then return tonumber(job[2]) end
  if tonumber(job[2]) >= tonumber(job[3]) then
    bury(job_id, 'WORKER_LOST', now)
    return 0
  end
  local attempt = redis.call('HINCRBY', key, 'attempts', 1)
  redis.call('HSET', key, 'worker', request.worker)
  if attempt == 1 then
    stop_waiting(job_id, job[7] or ANONYMOUS)
    lanes_to_refill[job[6]] = job[5]
    redis.call('HINCRBY', counters, 'processing', 1)
    redis.call('HINCRBY', running, job[7] or ANONYMOUS, 1)
  elseif job[8] then
    -- A further attempt is charged again; its result corrects only one charge.
    charge(lane_of(job[5], job[6]), job[7] or ANONYMOUS, predict_units(tonumber(job[8])))
  end
  for _, id in ipairs(redis.call('SMEMBERS', predictions_of .. job_id)) do
    redis.call('HSET', prediction_of .. id, 'status', 'PROCESSING', 'attempts', attempt, 'startedAtMs', now)
    publish(id)
  end
  return attempt
end

for i, job in ipairs(request.jobs) do attempts_started[i] = start(job.jobId, job.entryId, job.stream, job.known) end
for priority, version in pairs(lanes_to_refill) do refill(version, priority) end
return attempts_started
