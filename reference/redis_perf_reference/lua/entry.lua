-- entry: what a cache entry looks like, and how those who wait for one are told. For inclusion.
--
-- An entry is one string, so whatever removes it (UNLINK, expiry, eviction) also ends the right to fill it:
--   1 'c1', or 'c2' if somebody waits for the load | 3 token of who may load | 19 until when it may
--   | 32 when the value is due | 45 for how long it may be used after that | 58 how long it took to load (9 digits)
--   | 67 '=' and the value, if there is one
-- Times are 13 digits, in ms of the server's clock.
local NOBODY = string.rep('!', 16)  -- in place of a token: the last load failed, let the value do meanwhile
local TOLD_MS = '1000'

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Tells those who wait, given how the entry begins, what was loaded ('' if nothing was): by a stream of one message that
-- is there for a second, as some may be about to read it. It lies in the entry's Cluster slot, and nobody else's has its
-- name. Who tells has put another beginning there, or none, so nobody tells twice.
local function tell(key, head, value)
  if string.sub(head, 1, 2) == 'c2' then
    local tagged = string.find(key, '{', 1, true) and key or '{' .. key .. '}'
    local stream = 'load:' .. tagged .. ':' .. string.sub(head, 3, 18)
    redis.call('XADD', stream, '*', 'value', value)
    redis.call('PEXPIRE', stream, TOLD_MS)
  end
end
