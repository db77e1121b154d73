#!lua flags=allow-oom
-- Resolves an admission whose reply was lost. If it did not take place, its charge is listed for a refund, and the id can no longer be admitted,
-- since the admission may still be on its way. Sent again, it changes nothing.
-- ARGV[1] id; ARGV[2] what its caller's limits were charged; ARGV[3] for how long the id is refused, in milliseconds
-- Returns its snapshot if it was admitted, else false
local id = ARGV[1]
local found = redis.call('HMGET', prediction_of .. id, 'status', 'cached')
-- A job carries its charge to its end. A prediction without work from this request costs nothing.
local has_job = found[1] and found[2] ~= '1'
if not has_job and redis.call('SET', refused_of .. id, '', 'NX', 'PX', ARGV[3]) then
  redis.call('ZADD', refunds, now_ms(), id .. ' ' .. ARGV[2])
end
return snapshot(id)
