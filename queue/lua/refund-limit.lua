#!lua flags=allow-oom
-- Gives back what a request took, once: its receipt is consumed. A limit that is full again meanwhile gets nothing back.
-- KEYS[1] prefix of the tenant's keys
-- ARGV[1] the request's id
-- Returns 1 if something was given back, else 0
local receipt = KEYS[1] .. 'receipt:' .. ARGV[1]
local text = redis.call('GET', receipt)
if not text then return 0 end
redis.call('DEL', receipt)
local taken = cjson.decode(text)
for _, list in ipairs({ taken.limits, taken.quotas }) do
  for _, entry in ipairs(list) do
    local value = tonumber(redis.call('GET', entry[1]) or nil)
    if value then redis.call('SET', entry[1], string.format('%.17g', math.max(0, value - entry[2])), 'KEEPTTL') end
  end
end
return 1
