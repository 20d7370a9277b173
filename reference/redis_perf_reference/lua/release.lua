-- release: gives back the right to load an entry after the load has failed.
-- KEYS: entry. ARGV: the loader's token, for how many ms nobody shall try again where there is a value to use meanwhile.
-- Returns 1, or 0 if the lease was gone already. lease.lua says what an entry looks like.
if redis.call('GETRANGE', KEYS[1], 2, 17) ~= ARGV[1] then
  return 0
end
if redis.call('STRLEN', KEYS[1]) > 66 then
  local time = redis.call('TIME')
  local again = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[2])
  redis.call('SETRANGE', KEYS[1], 2, string.rep('!', 16) .. string.format('%013.0f', again))
else
  redis.call('UNLINK', KEYS[1])
end
return 1
