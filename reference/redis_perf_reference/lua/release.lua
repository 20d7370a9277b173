-- release: gives back the right to load an entry after the load has failed.
-- KEYS: entry. ARGV: the loader's token, for how many ms nobody shall try again where there is a value to use meanwhile.
-- Returns 1, or 0 if the lease was gone already.
-- include entry
local key, head = KEYS[1], redis.call('GETRANGE', KEYS[1], 0, 17)
if string.sub(head, 3) ~= ARGV[1] then
  return 0
end
if redis.call('STRLEN', key) > 66 then
  redis.call('SETRANGE', key, 0, 'c1' .. NOBODY .. string.format('%013.0f', now_ms() + tonumber(ARGV[2])))
else
  redis.call('UNLINK', key)
end
tell(key, head, '')
return 1
