-- lease: reads cache entries and, where a load is due, gives the right to load to one reader at a time.
-- KEYS: entries. ARGV, for each: the reader's token (16 characters), for how long it may load in ms (0: it only looks),
-- how many load times before it is due the entry may be loaded anew, for how many ms after that the reader takes the
-- value while others load.
-- Returns, for each, token of who may load ('' if nobody has to), ms until it is due (below 0 afterwards; without a value,
-- until the load's time is up), value or nil. Where the reader has to wait, the loader is to tell it: entry.lua.
-- include entry
local now = now_ms()

local function look(key, token, lease_ms, earliness, usable_ms)
  local entry = redis.call('GET', key)
  local left, value = 0, false

  local version = entry and #entry >= 66 and string.sub(entry, 1, 2)
  if version == 'c1' or version == 'c2' then
    left = tonumber(string.sub(entry, 32, 44)) - now
    if #entry > 66 and left + tonumber(string.sub(entry, 45, 57)) > 0 then
      value = string.sub(entry, 68)
      if left > tonumber(string.sub(entry, 58, 66)) * earliness then
        return '', left, value
      end
    end
    local holder, holds_ms = string.sub(entry, 3, 18), tonumber(string.sub(entry, 19, 31)) - now
    if holds_ms > 0 and (value or holder ~= NOBODY) then
      local waits = lease_ms > 0 and holder ~= NOBODY and not (value and left + usable_ms > 0)
      if waits and version == 'c1' then
        redis.call('SETRANGE', key, 1, '2')
      end
      return holder, value and left or holds_ms, value
    end
  end

  if lease_ms == 0 then
    return '', left, value
  end
  local lease = 'c1' .. token .. string.format('%013.0f', now + lease_ms)
  if value then
    redis.call('SETRANGE', key, 0, lease)
    if redis.call('PTTL', key) < lease_ms then
      redis.call('PEXPIRE', key, lease_ms)
    end
  else
    redis.call('SET', key, lease .. string.rep('0', 35), 'PX', lease_ms)
  end
  return token, left, value
end

local found = {}
for index, key in ipairs(KEYS) do
  local at = 4 * index - 3
  local holder, left, value =
    look(key, ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3]))
  found[3 * index - 2], found[3 * index - 1], found[3 * index] = holder, left, value
end
return found
