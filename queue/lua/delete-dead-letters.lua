#!lua flags=allow-oom
-- Deletes dead letters.
-- ARGV entry ids
-- Returns how many existed
local dropped = 0
for _, entry_id in ipairs(ARGV) do
  local entry = redis.call('XRANGE', dead, entry_id, entry_id)[1]
  if entry then
    remove_dead(entry)
    dropped = dropped + 1
  end
end
return dropped
