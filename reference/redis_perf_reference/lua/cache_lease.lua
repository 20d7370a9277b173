-- cache_lease: reads records and gives the right to load those that are missing to one reader at a time.
-- KEYS: records. ARGV: what the names of stamps begin with, the reader's token (16 characters), for how long it may load
-- in ms (0: it only looks), a stamp never used before, how long stamps have to last in ms, then for each key its groups
-- and, where it may be loaded only if the first record has a certain value, or is missing, that value.
-- A lease stands in the place of its record: '~', the token, a space, and "group stamp group stamp ..." of when it began.
-- So whatever removes or replaces a record or a stamp also ends the right to fill it; and as there is no line break in a
-- lease, it is no record to cache_get. Once somebody waits for it, it ends in ' +': then cache_settle says when it is over.
-- Returns for each key: the record or false, the ms it has left, the token of who may load it ('' if nobody has to).
-- include stamps
local token, lease_ms, new_stamp, lasting_ms = ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local replies = {}
local first = nil  -- the first record's value

for index, key in ipairs(KEYS) do
  local found, record, left, holder = redis.call('GET', key), false, 0, ''
  local groups, only_if = ARGV[4 + 2 * index], ARGV[5 + 2 * index]
  if found and string.sub(found, 1, 1) == '~' then
    holder = counts(string.sub(found, 19)) and string.sub(found, 2, 17) or ''
    if holder ~= '' and lease_ms > 0 and string.sub(found, -2) ~= ' +' then
      redis.call('APPEND', key, ' +')
    end
  elseif found then
    local ends = string.find(found, '\n', 1, true)
    left = ends and counts(string.sub(found, 1, ends)) and redis.call('PTTL', key) or 0
    record = left > 0 and found  -- what somebody made to live for ever is none of ours
    first = index == 1 and record and string.sub(record, ends + 1) or first
  end
  if not record and holder == '' and lease_ms > 0 and (only_if == '' or not first or only_if == first) then
    redis.call('SET', key, '~' .. token .. ' ' .. stamped(groups, new_stamp, lasting_ms), 'PX', ARGV[3])
    holder = token
  end
  replies[3 * index - 2] = record
  replies[3 * index - 1] = left
  replies[3 * index] = holder
end
return replies
