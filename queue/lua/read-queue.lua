#!lua flags=no-writes
-- Returns {waiting, dead letters, counters as fields and values, records of the live workers,
--   how many wait per tenant as names and counts, how many are processed per tenant likewise}
local now = now_ms()
local records = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', alive, '(' .. now, '+inf')) do
  local worker = string.match(member, '^%S+ (.+)$')
  local record = worker and redis.call('HGET', workers, worker)
  if record then table.insert(records, record) end
end
return { redis.call('ZCARD', waiting), redis.call('XLEN', dead), redis.call('HGETALL', counters), records, redis.call('HGETALL', tenants),
  redis.call('HGETALL', running) }
