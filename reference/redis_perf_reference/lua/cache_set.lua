-- cache_set: writes records and tells the others, all or nothing.
-- KEYS: records. ARGV: what the names of stamps begin with, time to live in ms, a stamp never used before, channel,
-- message, then the records. One begins with a line of groups and the stamps that the writer takes for theirs ("-" if it
-- knows none): "group stamp group stamp ...". Where the writer was right the stamps have to last long enough. Else they are
-- put in, and last as long as every record that carries them. Returns nothing if it was right everywhere, else a list: for
-- how many ms all stamps that were put in will last at least, then groups, and what their records begin with, in turn.
local find, sub, wrong = string.find, string.sub, {}
local line, right = '', false  -- of the record before

local function is_right(head)
  for group, stamp in string.gmatch(head, '(%S+) (%S+)') do
    if redis.call('GET', ARGV[1] .. group) ~= stamp then
      return false
    end
  end
  return true
end

for index, key in ipairs(KEYS) do
  local record = ARGV[5 + index]
  if line == '' or sub(record, 1, #line) ~= line then
    line = sub(record, 1, find(record, '\n', 1, true))
    right = is_right(line)
  end
  if right then
    redis.call('SET', key, record, 'PX', ARGV[2])
  else
    wrong[#wrong + 1] = index
  end
end

local corrections = false
if #wrong > 0 then
  -- include stamps
  local heads, ttl_ms = {}, tonumber(ARGV[2])
  corrections = { math.huge }
  for _, index in ipairs(wrong) do
    local record = ARGV[5 + index]
    local ends = find(record, '\n', 1, true)
    local groups = string.gsub(sub(record, 1, ends - 1), '(%S+) %S+', '%1')
    if not heads[groups] then
      heads[groups] = stamped(groups, ARGV[3], ttl_ms)
      corrections[#corrections + 1] = groups
      corrections[#corrections + 1] = heads[groups]
    end
    redis.call('SET', KEYS[index], heads[groups] .. sub(record, ends), 'PX', ARGV[2])
  end
  for _, ms in pairs(lasting) do
    corrections[1] = math.min(corrections[1], ms)
  end
end
redis.call('PUBLISH', ARGV[4], ARGV[5])
return corrections
