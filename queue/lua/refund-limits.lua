#!lua flags=allow-oom
-- Refunds a request's charge, once: an empty receipt records the refund, and the request can no longer be charged. A limit that is full again gets nothing back.
-- KEYS[1] prefix of the tenant's keys
-- ARGV[1] the request's id; ARGV[2] a copy of its receipt, for when Redis' has expired, or ''; ARGV[3] how long to remember it, in milliseconds
-- Returns 1 if something was refunded, else 0
local receipt = KEYS[1] .. 'receipt:' .. ARGV[1]
local text = redis.call('GET', receipt) or ARGV[2]
if text == '' then
  redis.call('PEXPIRE', receipt, ARGV[3])
  return 0
end
redis.call('SET', receipt, '', 'PX', ARGV[3])
local taken = cjson.decode(text)
for _, list in ipairs({ taken.limits, taken.quotas }) do
  for _, entry in ipairs(list) do
    local key = KEYS[1] .. entry[1]
    local value = tonumber(redis.call('GET', key) or nil)
    if value then redis.call('SET', key, string.format('%.17g', math.max(0, value - entry[2])), 'KEEPTTL') end
  end
end
return 1
