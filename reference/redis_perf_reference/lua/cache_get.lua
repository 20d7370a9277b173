-- cache_get: reads records, and the milliseconds that each has left.
-- KEYS: records. ARGV: what the names of stamps begin with, 1 if the milliseconds are wanted.
-- A record begins with a line of "group stamp group stamp ..."; it counts only while each group still has that stamp.
-- Records written together have the same line, which is looked at once.
-- Returns the records, false for what is not there or no longer counts, and the milliseconds, none if not wanted.
local call, find, sub = redis.call, string.find, string.sub
local prefix, timed = ARGV[1], ARGV[2] == '1'
local stamps, counting, found, left = {}, {}, {}, {}

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
  found[index] = line and counting[line] and record or false
  if timed then
    left[index] = found[index] and call('PTTL', key) or 0
  end
end
return { found, left }
