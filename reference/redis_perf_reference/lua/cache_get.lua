-- cache_get: reads records, and the milliseconds that each has left.
-- KEYS: records. ARGV: what the names of stamps begin with, 1 if the milliseconds are wanted.
-- A record begins with a line of groups and stamps.
-- Records written together have the same line, which is looked at once.
-- Returns the records, false for what is not there or no longer counts, and the milliseconds, none if not wanted.
-- include stamps
local call, find, sub, timed = redis.call, string.find, string.sub, ARGV[2] == '1'
local counting, found, left = {}, {}, {}

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
