#!lua flags=allow-oom
-- Registers the model version that a warm worker serves. Repeated calls are the worker's heartbeat.
-- ARGV[1] JSON: worker, version, lifetimeMs (it counts as gone if it sends no heartbeat for this long), first, leaving, lanes; ARGV[2] its record; ARGV[3] the spec
-- Returns 1 if the current version changed, else 0
local request = cjson.decode(ARGV[1])
local now = now_ms()
local current = redis.call('HGET', specs, 'current')

redis.call('ZREMRANGEBYSCORE', alive, '-inf', now)
redis.call('ZADD', alive, now + request.lifetimeMs, request.version .. ' ' .. request.worker)
redis.call('HSET', workers, request.worker, ARGV[2])
redis.call('HSET', counters, 'aliveUntilMs', now + request.lifetimeMs)
redis.call('HSET', specs, request.version, ARGV[3])

local live_workers, current_is_served = {}, false
for _, member in ipairs(redis.call('ZRANGE', alive, 0, -1)) do
  local version, worker = string.match(member, '^(%S+) (.+)$')
  if worker then live_workers[worker] = true end
  if version == current then current_is_served = true end
end
for _, worker in ipairs(redis.call('HKEYS', workers)) do
  if not live_workers[worker] then redis.call('HDEL', workers, worker) end
end

for _, lane in ipairs(request.lanes) do
  local stream = stream_of .. request.version .. ':' .. lane
  -- From the stream's start, to include jobs that were queued before the first worker registered.
  redis.pcall('XGROUP', 'CREATE', stream, GROUP, '0', 'MKSTREAM')
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', stream, GROUP)) do
    -- name, its value, pending, its value: a consumer that still has something pending is never deleted, since that would lose the jobs.
    if not live_workers[consumer[2]] and consumer[4] == 0 then
      redis.call('XGROUP', 'DELCONSUMER', stream, GROUP, consumer[2])
    end
  end
end

-- If nothing has failed for a week, nothing else removes the old ones.
trim_dead(now)

-- The newest registration is current. A heartbeat makes its version current only if nobody serves the current one, and not while leaving.
if not request.leaving and current ~= request.version and (request.first or not current_is_served) then
  redis.call('HSET', specs, 'current', request.version)
  return 1
end
return 0
