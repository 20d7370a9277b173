-- push: adds turns to a user's list, in order of position, each at most once.
-- KEYS: turns, gone. ARGV: most turns to keep, time to live in ms, entries in rising order.
-- Returns 0 if the user was deleted a moment ago (nothing is written then), else 1.
local turns, gone = KEYS[1], KEYS[2]

if redis.call('EXISTS', gone) == 1 then
  return 0
end

-- Positions are 64 bits wide and Lua's numbers are not: they are compared as text.
local function position(entry)
  return entry and string.match(entry, '^{"position":(%d+),')
end

local function is_after(one, other)
  if #one ~= #other then
    return #one > #other
  end
  return one > other
end

-- Looks for the place from the tail, where new turns belong. What has no position is another writer's: passed over.
local function add(entry)
  local mine, index, pivot = position(entry), -1, nil
  local neighbour = redis.call('LINDEX', turns, index)
  while neighbour do
    local theirs = position(neighbour)
    if theirs == mine then
      return
    end
    if theirs and is_after(mine, theirs) then
      break
    end
    pivot = theirs and neighbour or pivot
    index = index - 1
    neighbour = redis.call('LINDEX', turns, index)
  end
  if pivot then
    redis.call('LINSERT', turns, 'BEFORE', pivot, entry)
  else
    redis.call('RPUSH', turns, entry)
  end
end

for index = 3, #ARGV do
  add(ARGV[index])
end
redis.call('LTRIM', turns, -ARGV[1], -1)
redis.call('PEXPIRE', turns, ARGV[2])
return 1
