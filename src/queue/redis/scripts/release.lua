#!lua flags=allow-oom
-- ARGV: token, attempt.  Does nothing if the attempt is not the current one.
local at = redis.call('HMGET', sub_key(ARGV[1]), 'state', 'attempt', 'priority', 'lane', 'seq', 'lost', 'client', 'tag')
if at[1] == PROCESSING and at[2] == ARGV[2] then
    requeue(ARGV[1], at[3], at[4], at[5], at[6], at[7], at[8])
end
return 1
