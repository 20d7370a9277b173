-- cache_unlink: removes records, or the stamps of groups (then no record that carries them counts), and tells the others.
-- KEYS: what to remove. ARGV: channel, message. Returns how many there were; a lease, which begins with '~', is none.
local removed = 0
for _, key in ipairs(KEYS) do
  local lease = redis.pcall('GETRANGE', key, 0, 0) == '~'
  removed = removed + (redis.call('UNLINK', key) - (lease and 1 or 0))
end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return removed
