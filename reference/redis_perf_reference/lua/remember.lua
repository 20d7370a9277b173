-- remember: caches a user's summary unless a newer one is there.
-- KEYS: summary, gone. ARGV: version, time to live in ms, the summary's JSON, which begins with its version.
-- Returns 0 if the user was deleted a moment ago (nothing is written then), else 1.
if redis.call('EXISTS', KEYS[2]) == 1 then
  return 0
end
local cached = redis.call('GET', KEYS[1])
local theirs = cached and string.match(cached, '^{"version":(%d+),')
if not theirs or #ARGV[1] > #theirs or (#ARGV[1] == #theirs and ARGV[1] >= theirs) then
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])
end
return 1
