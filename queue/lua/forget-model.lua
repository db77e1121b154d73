#!lua flags=allow-oom
-- Removes the records of a model that no worker serves. Ended predictions stay until they expire.
-- ARGV[1] how long it must have been without a worker, in milliseconds; ARGV[2] '1' to remove dead letters, too
-- Returns {'forgotten'} | {'served'} | {'open', how many predictions} | {'deadLetters', how many}
local now = now_ms()
local alive_until = tonumber(redis.call('HGET', counters, 'aliveUntilMs') or '0')
if #redis.call('ZRANGEBYSCORE', alive, '(' .. now, '+inf') > 0 or now - alive_until < tonumber(ARGV[1]) then return { 'served' } end
local open = redis.call('ZCARD', deadlines)
if open > 0 then return { 'open', open } end
local letters = redis.call('XLEN', dead)
if letters > 0 and ARGV[2] ~= '1' then return { 'deadLetters', letters } end

for _, version in ipairs(redis.call('HKEYS', specs)) do
  -- Virtual time begins again at 0, so tags from before would be debts that no tenant has.
  for priority in pairs(LANES) do
    local lane = lane_of(version, priority)
    redis.call('DEL', stream_of .. lane, idle_of(lane))
  end
end
redis.call('DEL', specs, alive, workers, waiting, counters, dead, tenants, weights, refunds, running)
return { 'forgotten' }
