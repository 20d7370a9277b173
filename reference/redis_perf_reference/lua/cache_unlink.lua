-- cache_unlink: removes records, or the stamps of groups (then no record that carries them counts), and tells the others.
-- KEYS: what to remove. ARGV: channel, message. Returns how many there were.
local removed = 0
for _, key in ipairs(KEYS) do
  removed = removed + redis.call('UNLINK', key)
end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return removed
