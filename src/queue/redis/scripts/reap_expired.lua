#!lua flags=allow-oom
-- ARGV: attempts_max, ttl_ms, lease_ms, dead_max, dead_ms.  Returns 1 if more leases may have expired.
local now = now_ms()
local lost = redis.call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, 100)
for _, token in ipairs(lost) do
    local at = redis.call('HMGET', sub_key(token), 'state', 'priority', 'lane', 'seq', 'lost', 'worker', 'client', 'tag')
    if at[1] ~= PROCESSING then
        redis.call('ZREM', LEASES, token)
    elseif at[6] == '' then -- it was returned, and its delay is over
        requeue(token, at[2], at[3], at[4], at[5], at[7], at[8])
    elseif at[5] + 1 < tonumber(ARGV[1]) then
        requeue(token, at[2], at[3], at[4], at[5] + 1, at[7], at[8])
    else
        redis.call('HSET', sub_key(token), 'lost', at[5] + 1)
        bury(token, 'given up after ' .. (at[5] + 1) .. ' attempts: every worker that claimed it lost its lease',
            ARGV[2], ARGV[5])
    end
end

-- Every worker and API server calls this, and the first call in about a second does the rest.
if redis.call('SET', p .. 'swept', now, 'NX', 'PX', 900) then
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', WORKERS, '-inf', '(' .. (now - ARGV[3]))) do
        forget_worker(name)
    end
    redis.call('ZREMRANGEBYSCORE', DEAD, '-inf', now - ARGV[5])
    local excess = redis.call('ZCARD', DEAD) - tonumber(ARGV[4])
    if excess > 0 then
        for _, token in ipairs(redis.call('ZRANGE', DEAD, 0, excess - 1)) do
            redis.call('DEL', p .. 'dead:' .. token)
            redis.call('ZREM', DEAD, token)
        end
    end
    -- A claimer that died between its wakeup and its claim has left a wakeup too few.
    for priority = 0, 2 do
        for _, queue in ipairs(redis.call('ZRANGE', heads_key(priority), 0, -1)) do
            for _ = redis.call('LLEN', wakeup_key(queue)) + 1, waiting_in(queue) do
                redis.call('RPUSH', wakeup_key(queue), '1')
            end
        end
    end
end
return #lost == 100 and 1 or 0
