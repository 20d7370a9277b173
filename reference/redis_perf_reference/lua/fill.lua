-- fill: writes cache entries; a loader may do so only as long as nobody wrote or removed the entry since its lease.
-- KEYS: entries. ARGV, for each: the loader's token ('' to write in any case), ms until the entry is due, ms it may be
-- used after that, ms it took to load, value. Returns how many were written: not those whose lease is gone.
-- include entry
local now, written = now_ms(), 0
for index, key in ipairs(KEYS) do
  local at = 5 * index - 4
  local token, fresh_ms, stale_ms, value = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 4]
  local head = redis.call('GETRANGE', key, 0, 17)
  if token == '' or string.sub(head, 3) == token then
    local times = string.format('%013.0f%013.0f%09.0f', now + fresh_ms, stale_ms, tonumber(ARGV[at + 3]))
    local entry = 'c1' .. string.rep('0', 29) .. times .. '=' .. value
    redis.call('SET', key, entry, 'PX', string.format('%.0f', fresh_ms + stale_ms))
    tell(key, head, value)
    written = written + 1
  end
end
return written
