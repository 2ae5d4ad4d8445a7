#!lua flags=allow-oom
-- ARGV: token, attempt, returns_max, least delay, longest delay, reason, budget of results, dead_ms.  Does nothing if the
-- attempt is not the current one, or was returned before.  A returned submission stays PROCESSING, without a worker, until
-- its delay is over: then reaping queues it again.
local token = ARGV[1]
local at = redis.call('HMGET', sub_key(token), 'state', 'attempt', 'worker', 'returned')
if at[1] ~= PROCESSING or at[2] ~= ARGV[2] or at[3] == '' then return 1 end
local returned = (tonumber(at[4]) or 0) + 1
if returned >= tonumber(ARGV[3]) then
    bury(token, ARGV[6], ARGV[7], ARGV[8])
else
    redis.call('HSET', sub_key(token), 'worker', '', 'returned', returned)
    redis.call('ZADD', LEASES, now_ms() + math.min(ARGV[4] * 2 ^ (returned - 1), tonumber(ARGV[5])), token)
end
return 1
