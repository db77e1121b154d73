#!lua flags=allow-oom
-- Cancels a prediction unless it has ended.
-- ARGV[1] id; ARGV[2] the tenant that asks, '' for the system itself; ARGV[3] '1': only while it waits and no other prediction shares its job (its caller disconnected)
-- Returns the resulting snapshot, or false if the prediction is unknown or another tenant's
local id = ARGV[1]
if not belongs_to(id, ARGV[2]) then return false end
local status = redis.call('HGET', prediction_of .. id, 'status')
local may = not TERMINAL[status]
if may and ARGV[3] == '1' then
  local job_id = redis.call('HGET', prediction_of .. id, 'jobId')
  may = status == 'QUEUED' and redis.call('SCARD', predictions_of .. job_id) == 1
end
if may then finish_without_result(id, 'CANCELED', now_ms(), {}) end
return snapshot(id)
