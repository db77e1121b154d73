#!lua flags=allow-oom
-- Removes a worker whose repository no longer has the version. With the last such worker the model is no longer offered.
-- ARGV[1] worker; ARGV[2] version
-- Returns 1 if nobody else serves the version, so that this worker must finish what is still queued, else 0
local now = now_ms()
redis.call('ZREM', alive, ARGV[2] .. ' ' .. ARGV[1])
redis.call('HDEL', workers, ARGV[1])
for _, member in ipairs(redis.call('ZRANGEBYSCORE', alive, '(' .. now, '+inf')) do
  if string.match(member, '^%S+') == ARGV[2] then return 0 end
end
if redis.call('HGET', specs, 'current') == ARGV[2] then redis.call('HDEL', specs, 'current') end
return 1
