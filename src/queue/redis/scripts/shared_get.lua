#!lua
-- ARGV: key.  Returns what is kept under it, which is now the last used; nothing where there is none.
local found = redis.call('GET', p .. 'shared:' .. ARGV[1])
if not found then return {} end
redis.call('ZADD', p .. 'shared', 'XX', now_ms(), ARGV[1])
return { found }
