-- forget: removes all of a user's keys and leaves a mark that keeps late refills and pushes out for a while.
-- KEYS: turns, summary, aside, gone. ARGV: how long the mark stays, in ms. Returns how many keys were removed.
local removed = redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
redis.call('SET', KEYS[4], '1', 'PX', ARGV[1])
return removed
