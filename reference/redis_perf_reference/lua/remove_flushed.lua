-- remove_flushed: after a flush, removes from a user's list exactly what the flush has dealt with, whatever came or went since.
-- KEYS: turns, aside. ARGV: how many unreadable entries follow, these entries, then the positions that were saved.
-- Unreadable entries move to the aside list. Returns how many entries left the list.
local turns, aside = KEYS[1], KEYS[2]
local unreadable = tonumber(ARGV[1])
local removed = 0

for index = 2, 1 + unreadable do
  if redis.call('LREM', turns, 1, ARGV[index]) == 1 then
    redis.call('RPUSH', aside, ARGV[index])
    removed = removed + 1
  end
end

local saved = {}
for index = 2 + unreadable, #ARGV do
  saved[ARGV[index]] = true
end
for _, entry in ipairs(redis.call('LRANGE', turns, 0, -1)) do
  local position = string.match(entry, '^{"position":(%d+),')
  if position and saved[position] then
    removed = removed + redis.call('LREM', turns, 1, entry)
  end
end
return removed
