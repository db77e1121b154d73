#!lua flags=no-writes
-- ARGV[1] the tenant that asks, '' for the system itself; then ids
-- Returns a snapshot per id, or false if it is unknown or another tenant's
local snapshots = {}
for i = 2, #ARGV do snapshots[i - 1] = belongs_to(ARGV[i], ARGV[1]) and snapshot(ARGV[i]) end
return snapshots
