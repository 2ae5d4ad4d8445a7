#!lua
-- ARGV: key.  Returns the entry and marks it as the most recently used; returns nothing if there is none.
local found = redis.call('GET', p .. 'shared:' .. ARGV[1])
if not found then return {} end
redis.call('ZADD', p .. 'shared', 'XX', now_ms(), ARGV[1])
return { found }
