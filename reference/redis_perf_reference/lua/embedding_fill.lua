-- embedding_fill: writes vectors, unless the cache was cleared after they began to be computed.
-- KEYS: generation, records. ARGV: the generation that was seen ('' if there was none), then for each record its time
-- to live in ms and its bytes. Returns how many were written.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
for index = 2, #KEYS do
  redis.call('SET', KEYS[index], ARGV[2 * index - 1], 'PX', ARGV[2 * index - 2])
end
return #KEYS - 1
