#!lua flags=allow-oom
-- Extends the leases of a worker's jobs. A job that another worker has reclaimed stays with it.
-- ARGV[1] worker; then alternating streams and entry ids
-- Returns the entry ids that it still holds
local held = {}
for i = 2, #ARGV, 2 do
  -- A stream that has been retired meanwhile returns an error.
  local pending = redis.pcall('XPENDING', ARGV[i], GROUP, ARGV[i + 1], ARGV[i + 1], 1)[1]
  if pending and pending[2] == ARGV[1] then
    redis.call('XCLAIM', ARGV[i], GROUP, ARGV[1], 0, ARGV[i + 1], 'JUSTID')
    table.insert(held, ARGV[i + 1])
  end
end
return held
