#!lua flags=allow-oom
-- Tells that a worker still holds its jobs. What another worker has taken over stays with that one.
-- ARGV[1] worker; then a stream and an entry id by turns
-- Returns the entry ids that are still its own
local held = {}
for i = 2, #ARGV, 2 do
  -- A stream that was retired meanwhile answers with an error.
  local pending = redis.pcall('XPENDING', ARGV[i], GROUP, ARGV[i + 1], ARGV[i + 1], 1)[1]
  if pending and pending[2] == ARGV[1] then
    redis.call('XCLAIM', ARGV[i], GROUP, ARGV[1], 0, ARGV[i + 1], 'JUSTID')
    table.insert(held, ARGV[i + 1])
  end
end
return held
