#!lua flags=allow-oom
-- Moves the next jobs from the backlogs to the streams, in the order of the tenants' tags, for a worker that is about to claim.
-- ARGV[1] JSON: version, lanes (the most urgent first), share (per priority: how many it may claim first), max (in all)
-- Returns {1 if a backlog is left, else 0; then how many entries of each lane may be claimed now}
local request = cjson.decode(ARGV[1])
local unclaimed, left = {}, request.max

local function feed(priority, wanted)
  while unclaimed[priority] < wanted and promote(request.version, priority) do unclaimed[priority] = unclaimed[priority] + 1 end
end

local function has_backlog(priority) return redis.call('EXISTS', active_of(lane_of(request.version, priority))) == 1 end

for _, priority in ipairs(request.lanes) do
  unclaimed[priority] = count_unclaimed(stream_of .. lane_of(request.version, priority))
  if has_backlog(priority) then feed(priority, request.share[priority]) end
  left = left - math.min(unclaimed[priority], request.share[priority])
end
-- Other priorities may use the places that one leaves free, the most urgent first.
local reply = { 0 }
for _, priority in ipairs(request.lanes) do
  local share = request.share[priority]
  if left > 0 and unclaimed[priority] >= share and has_backlog(priority) then feed(priority, share + left) end
  left = left - math.min(left, math.max(0, unclaimed[priority] - share))
  if has_backlog(priority) then reply[1] = 1 end
  table.insert(reply, unclaimed[priority])
end
return reply
