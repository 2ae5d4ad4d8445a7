#!lua
-- ARGV: token, queue_max.  Returns 1 retried (now or before), 0 not among the dead, 2 the queue is full.
local token = ARGV[1]
local at = redis.call('HMGET', dead_key(token), 'lane', 'priority', 'attempt', 'created', 'payload', 'client')
if not at[1] then return redis.call('HGET', sub_key(token), 'retried') == '1' and 1 or 0 end
if (tonumber(redis.call('HGET', DEPTH, 'waiting')) or 0) >= tonumber(ARGV[2]) then return 2 end

local lane, priority, client = at[1], at[2], at[6] or ''
local seq = redis.call('INCRBY', p .. 'seq', 1)
redis.call('DEL', dead_key(token), sub_key(token), out_key(token))
redis.call('ZREM', DEAD, token)
-- The attempt goes on: a worker that was given up may still answer for one of the old numbers.
redis.call('HSET', sub_key(token), 'state', QUEUED, 'priority', priority, 'lane', lane, 'seq', seq, 'attempt', at[3],
    'lost', 0, 'created', at[4], 'queued', now_ms(), 'retried', 1)
redis.call('SET', job_key(token), at[5])
if client ~= '' then
    enter(token, priority, lane, seq, client)
    count_one('waiting', 1)
else
    redis.call('ZADD', queue_key(priority, lane), seq, item(seq, token))
    redis.call('ZADD', heads_key(priority), 'LT', seq, lane)
    count(lane, 1, 0)
    redis.call('RPUSH', bell_key(lane), '1')
end
publish(token, QUEUED, 0)
return 1
