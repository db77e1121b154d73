#!lua flags=allow-oom
-- Withdraws a worker whose repository no longer has the version. When the last worker withdraws, the model no longer accepts work.
-- ARGV[1] worker; ARGV[2] version
-- Returns 1 if no other worker serves the version, so that this worker must finish the queued jobs, else 0
local now = now_ms()
redis.call('ZREM', alive, ARGV[2] .. ' ' .. ARGV[1])
redis.call('HDEL', workers, ARGV[1])
for _, member in ipairs(redis.call('ZRANGEBYSCORE', alive, '(' .. now, '+inf')) do
  if string.match(member, '^%S+') == ARGV[2] then return 0 end
end
if redis.call('HGET', specs, 'current') == ARGV[2] then redis.call('HDEL', specs, 'current') end
return 1
