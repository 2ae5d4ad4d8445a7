#!lua flags=allow-oom
-- ARGV: token, attempt, state, result, ttl_ms, name of this call.  Returns 1 if this result is the one that is kept.
local token = ARGV[1]
local at = redis.call('HMGET', sub_key(token), 'state', 'attempt', 'lane', 'by', 'client')
if at[2] ~= ARGV[2] then return 0 end
if at[1] ~= PROCESSING then return at[4] == ARGV[6] and 1 or 0 end
count(at[3], 0, -1)
finish(token, ARGV[3], ARGV[4], 0, ARGV[6], ARGV[5], at[5])
return 1
