-- cache_get: reads records, each with the milliseconds it has left.
-- KEYS: records. ARGV: what the names of stamps begin with.
-- A record begins with a line of "group stamp group stamp ..."; it counts only while each group still has that stamp.
-- Returns record and milliseconds for each key, false and 0 for what is not there or no longer counts.
local prefix, stamps, found = ARGV[1], {}, {}

local function stamp_of(group)
  local stamp = stamps[group]
  if stamp == nil then
    stamp = redis.call('GET', prefix .. group)
    stamps[group] = stamp
  end
  return stamp
end

local function counts(record)
  local ends = string.find(record, '\n', 1, true)
  if not ends then
    return false
  end
  for group, stamp in string.gmatch(string.sub(record, 1, ends), '(%S+) (%S+)') do
    if stamp_of(group) ~= stamp then
      return false
    end
  end
  return true
end

for index, key in ipairs(KEYS) do
  local record = redis.call('GET', key)
  local there = record and counts(record)
  found[2 * index - 1] = there and record
  found[2 * index] = there and redis.call('PTTL', key) or 0
end
return found
