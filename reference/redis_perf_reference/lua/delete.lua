-- delete: removes cache entries; whoever waits for a load of one looks again.
-- KEYS: entries. Returns how many there were.
-- include entry
local removed = 0
for _, key in ipairs(KEYS) do
  local head = redis.pcall('GETRANGE', key, 0, 17)  -- of what is no string, an error
  removed = removed + redis.call('UNLINK', key)
  if type(head) == 'string' then
    tell(key, head, '')
  end
end
return removed
