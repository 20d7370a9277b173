-- cache_sweep: one step through the keys of this server: removes those that match and tells the others.
-- KEYS: any key of the cache, so that a cluster knows where to go. ARGV: cursor, pattern, how many to look at, channel,
-- message. Returns the next cursor ("0" after the last step) and how many were removed; of leases,
-- which begin with '~', the memory is freed too, but they are none.
local MOST = 1000  -- arguments of one command: Lua's stack ends at 8,000
local step = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
local keys, removed = step[2], 0
for _, key in ipairs(keys) do
  removed = removed - (redis.pcall('GETRANGE', key, 0, 0) == '~' and 1 or 0)
end
for first = 1, #keys, MOST do
  removed = removed + redis.call('UNLINK', unpack(keys, first, math.min(first + MOST - 1, #keys)))
end
if removed > 0 or step[1] == '0' then
  redis.call('PUBLISH', ARGV[4], ARGV[5])
end
return { step[1], removed }
