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
local slots = tonumber(redis.call('HGET', DEPTH, 'slots')) or 0
local busy = tonumber(redis.call('HGET', DEPTH, 'busy')) or 0
local workers = redis.call('ZCARD', WORKERS)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', WORKERS, '-inf', '(' .. (now - ARGV[1]))) do
    workers = workers - 1 -- dead, but the next sweep has not come yet
    local its_slots, its_busy = slots_in(redis.call('HGET', SLOTS, name))
    slots, busy = slots - its_slots, busy - its_busy
end
local counts, queues = redis.call('HGETALL', DEPTH), {}
for i = 1, #counts, 2 do
    local lane = string.match(counts[i], '^w:(.+)')
    if lane then
        queues[#queues + 1] = lane
        for priority = 0, 2 do queues[#queues + 1] = redis.call('ZCARD', queue_key(priority, lane)) end
    end
end
return { counts, oldest and math.max(now - oldest, 0) or 0, redis.call('ZCARD', DEAD), workers,
    slots, busy, queues }
