#!lua flags=no-writes
-- ARGV: token.  Returns the fields of dead_list.lua and the payload; nothing if there is no such dead letter.
local at = redis.call('HMGET', dead_key(ARGV[1]), 'lane', 'priority', 'attempt', 'created', 'died', 'reason', 'client',
    'payload')
if not at[1] then return {} end
return { ARGV[1], at[1], tonumber(at[2]), tonumber(at[3]), tonumber(at[4]), tonumber(at[5]), at[6], at[7] or '', at[8] }
