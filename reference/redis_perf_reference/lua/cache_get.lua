-- cache_get: reads records, and the milliseconds that each has left.
-- KEYS: records. ARGV: what the names of stamps begin with, 1 if the milliseconds are wanted.
-- A record begins with a line of groups and stamps.
-- Records written together have the same line, which is looked at once.
-- Returns the records, false for what is not there or no longer counts, and the milliseconds, none if not wanted.
-- include stamps
local MOST = 1000  -- arguments of one command: Lua's stack ends at 8,000
local call, find, sub, timed = redis.call, string.find, string.sub, ARGV[2] == '1'
local counting, found, left = {}, {}, {}
local line, length, counted = '', 0, false  -- of the record before

local function look_at(record)
  if length == 0 or sub(record, 1, length) ~= line then
    length = find(record, '\n', 1, true) or 0
    line = sub(record, 1, length)
    if counting[line] == nil then
      counting[line] = length > 0 and counts(line)
    end
    counted = counting[line]
  end
  return counted and record
end

for first = 1, #KEYS, MOST do
  local records = call('MGET', unpack(KEYS, first, math.min(first + MOST - 1, #KEYS)))
  for offset = 1, #records do
    local index, record = first + offset - 1, records[offset]
    found[index] = record and look_at(record)
    if timed then
      left[index] = found[index] and call('PTTL', KEYS[index]) or 0
    end
  end
end
return { found, left }
