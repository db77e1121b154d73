-- Part of every step: how many jobs go before a waiting one.

-- Whether one name sorts before another as in a sorted set: by bytes. Lua's comparison depends on the locale.
local function precedes(a, b)
  for i = 1, math.min(#a, #b) do
    local left, right = string.byte(a, i), string.byte(b, i)
    if left ~= right then return left < right end
  end
  return #a < #b
end

-- Per tenant with a backlog in this lane: its tag, the number of its jobs, and the virtual time that each is charged.
local function read_backlog(lane)
  local backlog = { tags = {}, counts = {}, units = {} }
  local flat = redis.call('ZRANGE', active_of(lane), 0, -1, 'WITHSCORES')
  local names = {}
  for i = 1, #flat, 2 do
    table.insert(names, flat[i])
    backlog.tags[flat[i]] = tonumber(flat[i + 1])
  end
  if #names == 0 then return backlog end
  local image_us = image_cost_us()
  local counted, weighed = redis.call('HMGET', counts_of(lane), unpack(names)), redis.call('HMGET', weights, unpack(names))
  for i, tenant in ipairs(names) do
    backlog.counts[tenant] = tonumber(counted[i])
    backlog.units[tenant] = units_of(image_us, tonumber(weighed[i] or '1'))
  end
  return backlog
end

-- How many jobs of the backlog go before a tenant's job: `ahead` of the same tenant, and those of others whose tags come first.
-- A tenant's n-th job is due at its tag plus n times its charge; equal tags go by the tenants' names, as in a sorted set.
local function count_before(lane, tenant, ahead, tag, units)
  backlogs[lane] = backlogs[lane] or read_backlog(lane)
  local backlog = backlogs[lane]
  local due, before = tag + ahead * units, ahead
  for other, other_tag in pairs(backlog.tags) do
    local distance, other_units = due - other_tag, backlog.units[other]
    if other ~= tenant and distance >= 0 then
      local earlier = math.ceil(distance / other_units)
      if distance % other_units == 0 and precedes(other, tenant) then earlier = earlier + 1 end
      before = before + math.min(backlog.counts[other], earlier)
    end
  end
  return before
end

-- A waiting job's position: 0 is next; false if it does not wait.
local function rank_of(job_id)
  local score = tonumber(redis.call('ZSCORE', waiting, job_id) or nil)
  if not score then return false end
  local base = math.floor(score / LANE_SPAN) * LANE_SPAN + BACKLOG_RANK
  if score < base then return redis.call('ZRANK', waiting, job_id) end
  local job = redis.call('HMGET', job_of .. job_id, 'tenant', 'version', 'priority')
  local lane = lane_of(job[2], job[3])
  -- With one tenant, jobs run in the order of arrival.
  if redis.call('ZCARD', active_of(lane)) == 1 then return redis.call('ZRANK', waiting, job_id) end
  local ahead = redis.call('ZRANK', backlog_of(lane, job[1]), job_id)
  local tag = tonumber(redis.call('ZSCORE', active_of(lane), job[1]))
  return redis.call('ZCOUNT', waiting, '-inf', '(' .. string.format('%.17g', base)) + count_before(lane, job[1], ahead, tag, predict_units(weight_of(job[1])))
end
