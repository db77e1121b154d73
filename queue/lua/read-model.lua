#!lua flags=no-writes
-- Returns {the current version's spec or false, milliseconds since a worker that serves the model was last alive, 0 while one is}
local current = redis.call('HGET', specs, 'current')
local alive_until = tonumber(redis.call('HGET', counters, 'aliveUntilMs') or '0')
return { current and redis.call('HGET', specs, current), math.max(0, now_ms() - alive_until) }
