-- fill: writes a cache entry; a loader may do so only as long as nobody wrote or removed the entry since its lease.
-- KEYS: entry. ARGV: the loader's token ('' to write in any case), ms until the entry is due, ms it may be used after
-- that, ms it took to load, value. Returns 1, or 0 if the lease is gone (nothing is written then).
-- lease.lua says what an entry looks like.
local token, fresh_ms, stale_ms, load_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if token ~= '' and redis.call('GETRANGE', KEYS[1], 2, 17) ~= token then
  return 0
end
local time = redis.call('TIME')
local due = time[1] * 1000 + math.floor(time[2] / 1000) + fresh_ms
local header = 'c1' .. string.rep('0', 29) .. string.format('%013.0f%013.0f%09.0f', due, stale_ms, load_ms)
redis.call('SET', KEYS[1], header .. '=' .. ARGV[5], 'PX', string.format('%.0f', fresh_ms + stale_ms))
return 1
