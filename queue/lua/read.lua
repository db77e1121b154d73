#!lua flags=no-writes
-- ARGV ids
-- Returns a snapshot an id, or false where it is unknown
local snapshots = {}
for i, id in ipairs(ARGV) do snapshots[i] = snapshot(id) end
return snapshots
