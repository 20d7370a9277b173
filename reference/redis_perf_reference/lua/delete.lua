-- delete: removes cache entries; whoever waits for a load of one looks again.
-- KEYS: entries. Returns how many there were.
-- include entry
local MOST = 1000  -- arguments of one command: Lua's stack ends at 8,000
local awaited, removed = {}, 0
for _, key in ipairs(KEYS) do
  local head = redis.pcall('GETRANGE', key, 0, 17)  -- of what is no string, an error
  if type(head) == 'string' and string.sub(head, 1, 2) == 'c2' then
    awaited[key] = head
  end
end
for first = 1, #KEYS, MOST do
  removed = removed + redis.call('UNLINK', unpack(KEYS, first, math.min(first + MOST - 1, #KEYS)))
end
for key, head in pairs(awaited) do
  tell(key, head, '')
end
return removed
