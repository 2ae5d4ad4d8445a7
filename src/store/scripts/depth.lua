#!lua flags=no-writes
-- ARGV: lease_ms.  Returns counts (field, value, ...), oldest wait in ms, dead, workers, slots.
local now = now_ms()
local oldest
for priority = 0, 2 do
    local lane = redis.call('ZRANGE', heads_key(priority), 0, 0)[1]
    local token = lane and redis.call('ZRANGE', queue_key(priority, lane), 0, 0)[1]
    local created = token and tonumber(redis.call('HGET', sub_key(token), 'created'))
    if created and (not oldest or created < oldest) then oldest = created end
end
local slots = tonumber(redis.call('HGET', DEPTH, 'slots')) or 0
local workers = redis.call('ZCARD', WORKERS)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', WORKERS, '-inf', '(' .. (now - ARGV[1]))) do
    workers = workers - 1 -- dead, but the next sweep has not come yet
    slots = slots - (tonumber(string.match(redis.call('HGET', SLOTS, name) or '', '^%d+')) or 0)
end
return { redis.call('HGETALL', DEPTH), oldest and math.max(now - oldest, 0) or 0, redis.call('ZCARD', DEAD), workers,
    slots }
