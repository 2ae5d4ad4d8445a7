#!lua
-- ARGV: token, queue_max, queue_bytes.  Returns RETRIED (also by an earlier call), UNKNOWN or FULL; redis/dead.c knows the numbers.
local UNKNOWN, RETRIED, FULL = 0, 1, 2
local token = ARGV[1]
local at = redis.call('HMGET', dead_key(token), 'lane', 'priority', 'attempt', 'created', 'payload', 'client')
if not at[1] then return redis.call('HGET', sub_key(token), 'retried') == '1' and RETRIED or UNKNOWN end
local held = redis.call('HMGET', DEPTH, 'waiting', 'payloads')
if tonumber(held[1] or 0) >= tonumber(ARGV[2]) then return FULL end
if tonumber(held[2] or 0) > 0 and held[2] + #at[5] > tonumber(ARGV[3]) then
    ask_recount()
    return FULL
end

local queue, priority, client = at[1], at[2], at[6] or ''
local seq = redis.call('INCRBY', p .. 'seq', 1)
redis.call('DEL', dead_key(token), sub_key(token), out_key(token))
redis.call('ZREM', DEAD, token)
-- The attempt number continues: a worker of an earlier attempt may still report its result.
redis.call('HSET', sub_key(token), 'state', QUEUED, 'priority', priority, 'lane', queue, 'seq', seq, 'attempt', at[3],
    'lost', 0, 'created', at[4], 'queued', now_ms(), 'retried', 1, 'bytes', #at[5])
count_payload(#at[5], client ~= '' and client, 1)
redis.call('SET', job_key(token), at[5])
if client ~= '' then
    enter(token, priority, queue, seq, client)
    count_one('waiting', 1)
else
    redis.call('ZADD', queue_key(priority, queue), seq, item(seq, token))
    redis.call('ZADD', heads_key(priority), 'LT', seq, queue)
    count(queue, 1, 0)
    redis.call('RPUSH', wakeup_key(queue), '1')
end
publish(token, QUEUED, 0)
return RETRIED
