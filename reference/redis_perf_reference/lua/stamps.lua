-- stamps: which groups a record belongs to, and whether it still counts. For inclusion.
-- A record, or a lease in its place, names its groups and their stamps when it was written: "group stamp group stamp ...".
-- It counts only while each group still has that stamp. ARGV[1] is what the names of stamps begin with.
local prefix, stamps = ARGV[1], {}
local lasting = {}  -- for how many ms, of those that were looked at

local function stamp_of(group)
  local stamp = stamps[group]
  if stamp == nil then
    stamp = redis.call('GET', prefix .. group)
    stamps[group] = stamp
  end
  return stamp
end

local function counts(head)
  for group, stamp in string.gmatch(head, '(%S+) (%S+)') do
    if stamp_of(group) ~= stamp then
      return false
    end
  end
  return true
end

-- "group stamp group stamp ..." of these groups. One without a stamp gets the new one; all last for so many ms at least.
local function stamped(groups, new_stamp, lasting_ms)
  local head = {}
  for group in string.gmatch(groups, '%S+') do
    local stamp = stamp_of(group)
    if not stamp then
      stamp, stamps[group] = new_stamp, new_stamp
      redis.call('SET', prefix .. group, stamp, 'PX', string.format('%.0f', 2 * lasting_ms))
      lasting[group] = 2 * lasting_ms
    end
    lasting[group] = lasting[group] or redis.call('PTTL', prefix .. group)
    if lasting[group] < lasting_ms then
      redis.call('PEXPIRE', prefix .. group, string.format('%.0f', 2 * lasting_ms))
      lasting[group] = 2 * lasting_ms
    end
    head[#head + 1] = group .. ' ' .. stamp
  end
  return table.concat(head, ' ')
end
