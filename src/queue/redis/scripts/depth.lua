#!lua flags=no-writes
-- ARGV: lease_ms.  Returns the counts (field, value, ...), the oldest wait in ms, and the numbers of dead letters,
-- workers, slots and busy slots; for each queue its name and its lengths by priority; the bytes of payloads and results.
local now = now_ms()
local oldest
local function note_oldest(token)
    local created = token and tonumber(redis.call('HGET', sub_key(token), 'created'))
    if created and (not oldest or created < oldest) then oldest = created end
end
for priority = 0, 2 do
    local queue = redis.call('ZRANGE', heads_key(priority), 0, 0)[1]
    local member = queue and redis.call('ZRANGE', queue_key(priority, queue), 0, 0)[1]
    note_oldest(member and token_in(member))
end
note_oldest(redis.call('ZRANGE', AGES, 0, 0)[1]) -- of named clients, whose submissions are not queued by age
-- The sums are computed from the living workers.  Stored sums go wrong for good when a program that does not know of
-- them, such as an older version, removes a worker.
local names, slots, busy = redis.call('ZRANGEBYSCORE', WORKERS, now - ARGV[1], '+inf'), 0, 0
for first = 1, #names, 1000 do
    local stored = redis.call('HMGET', SLOTS, unpack(names, first, math.min(first + 999, #names)))
    for i = 1, #stored do
        local worker_slots, worker_busy = parse_heartbeat(stored[i])
        slots, busy = slots + worker_slots, busy + worker_busy
    end
end
local counts, lengths = redis.call('HGETALL', DEPTH), {}
for i = 1, #counts, 2 do
    local queue = string.match(counts[i], '^w:(.+)')
    if queue then
        lengths[#lengths + 1] = queue
        for priority = 0, 2 do lengths[#lengths + 1] = redis.call('ZCARD', queue_key(priority, queue)) end
    end
end
return { counts, oldest and math.max(now - oldest, 0) or 0, redis.call('ZCARD', DEAD), #names,
    slots, busy, lengths, redis.call('HMGET', DEPTH, 'payloads', 'results') }
