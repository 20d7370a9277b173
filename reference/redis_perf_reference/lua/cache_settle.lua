-- cache_settle: ends leases: writes the records that were loaded and gives the others back.
-- KEYS: records. ARGV: what the names of stamps begin with, the loader's token, channel, message, then for each key its ms
-- to live (0: it is given back) and its value.
-- A record is written only if nobody wrote or removed it, or a stamp of its groups, since the lease; cache_lease says what
-- a lease looks like. The message is for those who wait; nobody else needs to be told, as a copy of what was there before
-- has run out, too. Returns for each key 1 if it was written, else 0.
-- include stamps
local lease, written, awaited = '~' .. ARGV[2], {}, false

for index, key in ipairs(KEYS) do
  local found, ms = redis.call('GET', key), ARGV[3 + 2 * index]
  written[index] = 0
  if found and string.sub(found, 1, 17) == lease then
    local head, plus = string.gsub(string.sub(found, 19), ' %+$', '')
    awaited = awaited or plus > 0
    if ms ~= '0' and counts(head) then
      redis.call('SET', key, head .. '\n' .. ARGV[4 + 2 * index], 'PX', ms)
      written[index] = 1
    else
      redis.call('UNLINK', key)
    end
  end
end
if awaited then
  redis.call('PUBLISH', ARGV[3], ARGV[4])
end
return written
