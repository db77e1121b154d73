#!lua flags=allow-oom
-- Deregisters a drained worker. Jobs that it may still hold, because a reply was lost, become free for others at once.
-- ARGV[1] worker; ARGV[2] version; then its lanes
local now = now_ms()
redis.call('ZREM', alive, ARGV[2] .. ' ' .. ARGV[1])
redis.call('HDEL', workers, ARGV[1])
if redis.call('ZCARD', alive) == 0 then redis.call('HSET', counters, 'aliveUntilMs', now) end
for i = 3, #ARGV do
  local stream = stream_of .. ARGV[2] .. ':' .. ARGV[i]
  -- A stream that has been retired meanwhile returns an error, which has no entries.
  local pending = redis.pcall('XPENDING', stream, GROUP, '-', '+', 1000, ARGV[1])
  for _, entry in ipairs(pending) do
    redis.call('XCLAIM', stream, GROUP, ARGV[1], 0, entry[1], 'IDLE', 24 * 60 * 60 * 1000, 'JUSTID')
  end
  if #pending == 0 then redis.pcall('XGROUP', 'DELCONSUMER', stream, GROUP, ARGV[1]) end
end
return redis.status_reply('OK')
