-- cache_set: writes records and tells the others, all or nothing.
-- KEYS: records. ARGV: what the names of stamps begin with, time to live in ms, a stamp never used before, channel,
-- message, then for each key its groups (names between spaces) and its value.
-- A group without a stamp gets the new one; a stamp outlives every record that carries it. Returns how many others heard.
local prefix, ttl, new_stamp = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local stamps = {}

local function stamp_of(group)
  if not stamps[group] then
    local key = prefix .. group
    local stamp = redis.call('GET', key)
    if not stamp then
      stamp = new_stamp
      redis.call('SET', key, stamp, 'PX', string.format('%.0f', 2 * ttl))
    elseif redis.call('PTTL', key) < ttl then
      redis.call('PEXPIRE', key, string.format('%.0f', 2 * ttl))
    end
    stamps[group] = stamp
  end
  return stamps[group]
end

for index, key in ipairs(KEYS) do
  local head = {}
  for group in string.gmatch(ARGV[4 + 2 * index], '%S+') do
    head[#head + 1] = group .. ' ' .. stamp_of(group)
  end
  redis.call('SET', key, table.concat(head, ' ') .. '\n' .. ARGV[5 + 2 * index], 'PX', ARGV[2])
end
return redis.call('PUBLISH', ARGV[4], ARGV[5])
