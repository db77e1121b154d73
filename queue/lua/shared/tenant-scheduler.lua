-- Part of every step: whose job is next. Priorities share the work by weight (priority-scheduler.ts). Within one,
-- tenants share it by start-time fair queueing (Goyal, Vin and Cheng, 1996). Each tenant has a tag in virtual time, at which its next job is
-- due. The smallest tag is served, virtual time moves up to it, and the tag grows by the work's cost over the tenant's weight. A tenant
-- that comes back starts no earlier than virtual time: being idle earns nothing.
-- A lane is one priority of one model version: it has a stream, and a backlog per tenant behind it (waiting-jobs.lua).

-- One unit of virtual time is this much machine time at weight 1. Tags are whole numbers, so that sums are exact.
local UNIT_US = 10
-- The assumed cost of a job until the first result.
local FIRST_GUESS_US = 1000
local IDLE_TAGS_MS = 60 * 60 * 1000

local function lane_of(version, priority) return version .. ':' .. priority end
local function active_of(lane) return fair_of .. lane .. ':active' end
local function idle_of(lane) return fair_of .. lane .. ':idle' end
local function counts_of(lane) return fair_of .. lane .. ':counts' end
local function backlog_of(lane, tenant) return fair_of .. lane .. ':backlog:' .. tenant end

-- Cache of values that only this step changes: a feed of a whole batch reads them once.
local known = { virtual = {} }

local function virtual_time(lane)
  if not known.virtual[lane] then known.virtual[lane] = tonumber(redis.call('HGET', counters, 'virtual:' .. lane) or '0') end
  return known.virtual[lane]
end

local function image_cost_us()
  known.image_us = known.image_us or tonumber(redis.call('HGET', counters, 'imageUs') or FIRST_GUESS_US)
  return known.image_us
end

local function units_of(cost_us, weight) return math.max(1, math.floor(cost_us / (UNIT_US * weight) + 0.5)) end

local function predict_units(weight)
  return units_of(image_cost_us(), weight)
end

local function weight_of(tenant) return tonumber(redis.call('HGET', weights, tenant) or '1') end

-- The virtual time of a tenant without a backlog.
local function start_tag(lane, tenant)
  return math.max(virtual_time(lane), tonumber(redis.call('ZSCORE', idle_of(lane), tenant) or '0'))
end

-- A tag at or below virtual time has no effect: the tenant starts at virtual time anyway.
local function keep_idle_tag(lane, tenant, tag)
  local idle = idle_of(lane)
  if tag <= virtual_time(lane) then
    redis.call('ZREM', idle, tenant)
  else
    redis.call('ZADD', idle, tag, tenant)
    redis.call('PEXPIRE', idle, IDLE_TAGS_MS)
  end
end

-- Moves a tenant's tag, backwards if it was charged too much.
local function charge(lane, tenant, units)
  if units == 0 then return end
  if redis.call('ZSCORE', active_of(lane), tenant) then
    redis.call('ZINCRBY', active_of(lane), units, tenant)
  else
    keep_idle_tag(lane, tenant, start_tag(lane, tenant) + units)
  end
end

-- charged: the field of the job's hash, false if it was never charged
local function refund(lane, tenant, charged)
  if charged then charge(lane, tenant, -tonumber(charged)) end
end

local function advance(lane, tag)
  if tag <= virtual_time(lane) then return end
  redis.call('HSET', counters, 'virtual:' .. lane, tag)
  known.virtual[lane] = tag
  redis.call('ZREMRANGEBYSCORE', idle_of(lane), '-inf', tag)
end
