-- cache_get: reads records, each with the milliseconds it has left.
-- KEYS: records. ARGV: what the names of stamps begin with.
-- A record begins with a line of "group stamp group stamp ..."; it counts only while each group still has that stamp.
-- Records written together have the same line, which is looked at once.
-- Returns record and milliseconds for each key, false and 0 for what is not there or no longer counts.
local call, find, sub = redis.call, string.find, string.sub
local prefix, stamps, counting, found = ARGV[1], {}, {}, {}

local function stamp_of(group)
  local stamp = stamps[group]
  if stamp == nil then
    stamp = call('GET', prefix .. group)
    stamps[group] = stamp
  end
  return stamp
end

local function counts(line)
  for group, stamp in string.gmatch(line, '(%S+) (%S+)') do
    if stamp_of(group) ~= stamp then
      return false
    end
  end
  return true
end

for index, key in ipairs(KEYS) do
  local record = call('GET', key)
  local ends = record and find(record, '\n', 1, true)
  local line = ends and sub(record, 1, ends)
  if line and counting[line] == nil then
    counting[line] = counts(line)
  end
  local there = line and counting[line]
  found[2 * index - 1] = there and record
  found[2 * index] = there and call('PTTL', key) or 0
end
return found
