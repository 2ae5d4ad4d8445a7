#!lua flags=no-writes
-- ARGV: lease_ms.  Returns counts (field, value, ...), oldest wait in ms, dead, workers, slots, busy ones, and for each
-- lane its name and how many are in each of its queues.
local now = now_ms()
local oldest
local function note_oldest(token)
    local created = token and tonumber(redis.call('HGET', sub_key(token), 'created'))
    if created and (not oldest or created < oldest) then oldest = created end
end
for priority = 0, 2 do
    local lane = redis.call('ZRANGE', heads_key(priority), 0, 0)[1]
    local member = lane and redis.call('ZRANGE', queue_key(priority, lane), 0, 0)[1]
    note_oldest(member and token_in(member))
end
note_oldest(redis.call('ZRANGE', AGES, 0, 0)[1]) -- of clients with a name, whose queues are not by age
-- Summed up here, from what those that live told last: a sum kept beside it goes wrong for good as soon as somebody who
-- does not know of it, as a sweep of an older version, takes a worker away.
local names, slots, busy = redis.call('ZRANGEBYSCORE', WORKERS, now - ARGV[1], '+inf'), 0, 0
for first = 1, #names, 1000 do
    local told = redis.call('HMGET', SLOTS, unpack(names, first, math.min(first + 999, #names)))
    for i = 1, #told do
        local its_slots, its_busy = slots_in(told[i])
        slots, busy = slots + its_slots, busy + its_busy
    end
end
local counts, queues = redis.call('HGETALL', DEPTH), {}
for i = 1, #counts, 2 do
    local lane = string.match(counts[i], '^w:(.+)')
    if lane then
        queues[#queues + 1] = lane
        for priority = 0, 2 do queues[#queues + 1] = redis.call('ZCARD', queue_key(priority, lane)) end
    end
end
return { counts, oldest and math.max(now - oldest, 0) or 0, redis.call('ZCARD', DEAD), #names,
    slots, busy, queues }
