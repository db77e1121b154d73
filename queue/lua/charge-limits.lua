#!lua
-- Charges a request to every limit and quota that applies, or to none. Sent again with the same id, it charges nothing more.
-- A limit is a generic cell rate algorithm (GCRA, ITU-T I.371): one number, the time at which the bucket is full again. A cost larger
-- than the burst is accepted when the bucket is full, and leaves a debt.
-- KEYS[1] prefix of the tenant's keys. All are on one Cluster slot.
-- ARGV[1] JSON: id, receiptMs, dry (true: take nothing), limits: a list of {name, cost, ratePerSecond, burst}, quotas: a list of {name, cost,
--   limit, period: 'day' or 'month'}
-- Returns {allowed (1 or 0), retryAfterMs, name of what refused it or '', the receipt that a refund needs or '', then per limit and per quota three texts: what remains, the
--   maximum, and when it is full again in Unix milliseconds}
local request = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local seconds = tonumber(time[1])
local now_us = seconds * 1e6 + tonumber(time[2])
local receipt = KEYS[1] .. 'receipt:' .. request.id
local receipt_text = redis.call('GET', receipt) or ''
local taken_before = redis.call('EXISTS', receipt) == 1

-- A period's name, and its end in Unix seconds. Days and months are UTC's.
local function period_of(kind)
  local day = math.floor(seconds / 86400)
  if kind == 'day' then return 'day:' .. string.format('%d', day), (day + 1) * 86400 end
  local year, month = month_of(day)
  local next_year, next_month = month == 12 and year + 1 or year, month % 12 + 1
  return string.format('month:%d-%02d', year, month), first_day(next_year, next_month) * 86400
end

local retry_ms, refused_by = 0, ''
local function refuse(name, ms)
  if refused_by ~= '' and ms <= retry_ms then return end
  retry_ms, refused_by = math.ceil(ms), name
end

local limits, quotas = {}, {}
for i, limit in ipairs(request.limits) do
  local key = KEYS[1] .. limit.name
  local unit_us = 1e6 / limit.ratePerSecond
  local full_us = math.max(now_us, tonumber(redis.call('GET', key) or '0'))
  local next_us = full_us + limit.cost * unit_us
  local wait_us = next_us - math.max(limit.burst, limit.cost) * unit_us - now_us
  limits[i] = { key = key, unit_us = unit_us, full_us = full_us, next_us = next_us }
  -- Less than a microsecond is the rounding of the division.
  if limit.cost > 0 and wait_us >= 1 then refuse(limit.name, wait_us / 1000) end
end
for i, quota in ipairs(request.quotas) do
  local period, end_s = period_of(quota.period)
  local name = quota.name .. ':' .. period
  local used = tonumber(redis.call('GET', KEYS[1] .. name) or '0')
  quotas[i] = { name = name, used = used, end_s = end_s }
  if quota.cost > 0 and used + quota.cost > quota.limit + 1e-6 then refuse(quota.name, end_s * 1000 - now_us / 1000) end
end

local allowed = taken_before or refused_by == ''
if allowed and not taken_before and not request.dry then
  local taken = { limits = {}, quotas = {} }
  for i, limit in ipairs(request.limits) do
    local bucket = limits[i]
    if limit.cost > 0 then
      redis.call('SET', bucket.key, string.format('%.17g', bucket.next_us), 'PX', math.ceil((bucket.next_us - now_us) / 1000) + 1)
      bucket.full_us = bucket.next_us
      table.insert(taken.limits, { limit.name, limit.cost * bucket.unit_us })
    end
  end
  for i, quota in ipairs(request.quotas) do
    local counter = quotas[i]
    if quota.cost > 0 then
      counter.used = counter.used + quota.cost
      redis.call('SET', KEYS[1] .. counter.name, string.format('%.17g', counter.used), 'PX', math.ceil(counter.end_s * 1000 - now_us / 1000) + 1)
      table.insert(taken.quotas, { counter.name, quota.cost })
    end
  end
  receipt_text = cjson.encode(taken)
  redis.call('SET', receipt, receipt_text, 'PX', request.receiptMs)
end

local reply = { allowed and 1 or 0, allowed and 0 or retry_ms, allowed and '' or refused_by, receipt_text }
local function report(remaining, bound, whole_ms)
  for _, number in ipairs({ remaining, bound, whole_ms }) do table.insert(reply, string.format('%.17g', number)) end
end
for i, limit in ipairs(request.limits) do
  report(limit.burst - (limits[i].full_us - now_us) / limits[i].unit_us, limit.burst, math.ceil(limits[i].full_us / 1000))
end
for i, quota in ipairs(request.quotas) do report(quota.limit - quotas[i].used, quota.limit, quotas[i].end_s * 1000) end
return reply
