#!lua flags=allow-oom
-- A worker whose repository has the version no longer: it counts as gone, and with the last one the model is not offered any more.
-- ARGV[1] worker; ARGV[2] version
-- Returns 1 where nobody else serves the version, so that what it still queues is left to this worker, else 0
local now = now_ms()
redis.call('ZREM', alive, ARGV[2] .. ' ' .. ARGV[1])
redis.call('HDEL', workers, ARGV[1])
for _, member in ipairs(redis.call('ZRANGEBYSCORE', alive, '(' .. now, '+inf')) do
  if string.match(member, '^%S+') == ARGV[2] then return 0 end
end
if redis.call('HGET', specs, 'current') == ARGV[2] then redis.call('HDEL', specs, 'current') end
return 1
