-- cache_set: writes records and tells the others, all or nothing.
-- KEYS: records. ARGV: what the names of stamps begin with, time to live in ms, a stamp never used before, channel,
-- message, then for each key its groups (names between spaces) and its value.
-- Stamps outlive every record that carries them. Returns how many others heard.
-- include stamps
local ttl_ms, new_stamp = tonumber(ARGV[2]), ARGV[3]

for index, key in ipairs(KEYS) do
  local head = stamped(ARGV[4 + 2 * index], new_stamp, ttl_ms)
  redis.call('SET', key, head .. '\n' .. ARGV[5 + 2 * index], 'PX', ARGV[2])
end
return redis.call('PUBLISH', ARGV[4], ARGV[5])
