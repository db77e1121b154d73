#!lua flags=allow-oom
-- Ends predictions whose deadline has passed. Any server or worker may call it at any time.
-- ARGV[1] maximum number
-- Returns how many it ended
local now = now_ms()
local due = redis.call('ZRANGEBYSCORE', deadlines, '-inf', now, 'LIMIT', 0, tonumber(ARGV[1]))
for _, id in ipairs(due) do
  if redis.call('EXISTS', prediction_of .. id) == 1 then
    finish_without_result(id, 'EXPIRED', now, { 'errorCode', 'DEADLINE_EXCEEDED' })
  else
    redis.call('ZREM', deadlines, id)
  end
end
return #due
