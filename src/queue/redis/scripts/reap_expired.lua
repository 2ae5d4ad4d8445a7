#!lua flags=allow-oom
-- ARGV: attempts_max, budget of results, lease_ms, dead_max, dead_ms, bytes of dead letters.  Returns 1 if more leases may have expired.
local now = now_ms()
local has_buried = false
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
        has_buried = true
    end
end

-- An older version counts no bytes, so what it ended is still counted.  This adds up what waits or runs.
local function recount_payloads()
    local sums, total, seen = {}, 0, {}
    local function add_up(token)
        local at = not seen[token] and redis.call('HMGET', sub_key(token), 'bytes', 'client')
        seen[token] = true
        if not at or not at[1] then return end
        total = total + at[1]
        if at[2] then sums[at[2]] = (sums[at[2]] or 0) + at[1] end
    end
    for priority = 0, 2 do
        for _, queue in ipairs(redis.call('ZRANGE', heads_key(priority), 0, -1)) do
            for _, member in ipairs(redis.call('ZRANGE', queue_key(priority, queue), 0, -1)) do
                add_up(token_in(member))
            end
        end
    end
    for _, key in ipairs({ AGES, LEASES }) do -- the parked ones are in the first
        for _, token in ipairs(redis.call('ZRANGE', key, 0, -1)) do add_up(token) end
    end
    local fields = redis.call('HGETALL', BYTES)
    for i = 1, #fields, 2 do
        if string.match(fields[i], '^q:') then redis.call('HDEL', BYTES, fields[i]) end
    end
    redis.call('HDEL', DEPTH, 'payloads')
    if total > 0 then redis.call('HSET', DEPTH, 'payloads', total) end
    for client, sum in pairs(sums) do redis.call('HSET', BYTES, 'q:' .. client, sum) end
end

-- Every worker and API server calls this, and the first call in about a second does the rest.  An older version has a key
-- of its own for it, and does less.
if redis.call('SET', p .. 'swept:2', now, 'NX', 'PX', 900) then
    for _, name in ipairs(redis.call('ZRANGEBYSCORE', WORKERS, '-inf', '(' .. (now - ARGV[3]))) do
        forget_worker(name)
    end
    local slots, has_older = redis.call('HGETALL', SLOTS), false
    for i = 2, #slots, 2 do has_older = has_older or not names_queues(slots[i]) end
    if has_older then
        redis.call('SET', OLDER, 1)
    else
        redis.call('DEL', OLDER)
    end
    forget_results(now)
    redis.call('ZREMRANGEBYSCORE', DEAD, '-inf', now - ARGV[5])
    local excess = redis.call('ZCARD', DEAD) - tonumber(ARGV[4])
    if excess > 0 then
        for _, token in ipairs(redis.call('ZRANGE', DEAD, 0, excess - 1)) do
            redis.call('DEL', p .. 'dead:' .. token)
            redis.call('ZREM', DEAD, token)
        end
    end
    local held = redis.call('HMGET', DEPTH, 'waiting', 'payloads')
    local is_idle = held[2] and not held[1] and redis.call('ZCARD', LEASES) == 0
    if is_idle or redis.call('GET', RECOUNT) == '1' then
        recount_payloads()
        redis.call('SET', RECOUNT, 0, 'PX', 60000)
    end
    -- A claimer that died between its wakeup and its claim has left a wakeup too few.  While the results are full, claims
    -- remove the wakeups.
    for priority = 0, results_full(ARGV[2]) and -1 or 2 do
        for _, queue in ipairs(redis.call('ZRANGE', heads_key(priority), 0, -1)) do
            for _ = redis.call('LLEN', wakeup_key(queue)) + 1, waiting_in(queue) do
                redis.call('RPUSH', wakeup_key(queue), '1')
            end
        end
    end
end
if has_buried then
    local tokens, bytes = redis.call('ZRANGE', DEAD, '+inf', '-inf', 'BYSCORE', 'REV'), 0
    for _, token in ipairs(tokens) do
        bytes = bytes + (tonumber(redis.call('HGET', dead_key(token), 'bytes')) or 0) -- an older version stored none
        if bytes > tonumber(ARGV[6]) then
            redis.call('DEL', dead_key(token))
            redis.call('ZREM', DEAD, token)
        end
    end
end
return #lost == 100 and 1 or 0
