-- lease: reads cache entries and, where a load is due, gives the right to load to one reader at a time.
-- KEYS: entries. ARGV, for each: the reader's token (16 characters), for how long it may load in ms (0: it only looks),
-- how many load times before it is due the entry may be loaded anew.
-- Returns, for each, token of who may load ('' if nobody has to), ms until it is due (below 0 afterwards), value or nil.
--
-- An entry is one string, so whatever removes it (UNLINK, expiry, eviction) also ends the right to fill it:
--   1 'c1' | 3 token | 19 until when it holds | 32 when the value is due | 45 for how long it may be used after that
--   | 58 how long it took to load (9 digits) | 67 '=' and the value, if there is one
-- Times are 13 digits, in ms of the server's clock.
local NOBODY = string.rep('!', 16)  -- in place of a token: the last load failed, let the value do meanwhile
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function look(key, token, lease_ms, earliness)
  local entry = redis.call('GET', key)
  local left, value = 0, false

  if entry and #entry >= 66 and string.sub(entry, 1, 2) == 'c1' then
    left = tonumber(string.sub(entry, 32, 44)) - now
    if #entry > 66 and left + tonumber(string.sub(entry, 45, 57)) > 0 then
      value = string.sub(entry, 68)
      if left > tonumber(string.sub(entry, 58, 66)) * earliness then
        return '', left, value
      end
    end
    local holder = string.sub(entry, 3, 18)
    if tonumber(string.sub(entry, 19, 31)) > now and (value or holder ~= NOBODY) then
      return holder, left, value
    end
  end

  if lease_ms == 0 then
    return '', left, value
  end
  local lease = token .. string.format('%013.0f', now + lease_ms)
  if value then
    redis.call('SETRANGE', key, 2, lease)
    if redis.call('PTTL', key) < lease_ms then
      redis.call('PEXPIRE', key, lease_ms)
    end
  else
    redis.call('SET', key, 'c1' .. lease .. string.rep('0', 35), 'PX', lease_ms)
  end
  return token, left, value
end

local found = {}
for index, key in ipairs(KEYS) do
  local at = 3 * index
  found[at - 2], found[at - 1], found[at] = look(key, ARGV[at - 2], tonumber(ARGV[at - 1]), tonumber(ARGV[at]))
end
return found
