-- What every script begins with.  KEYS[1] is "{PREFIX}:", which every key starts with, so that all of them share
-- one hash slot and only this one has to be named for a cluster to find the node.
local p = KEYS[1]
local DEPTH, LEASES, DEAD = p .. 'depth', p .. 'leases', p .. 'dead'
local WORKERS, SLOTS, AGES = p .. 'workers', p .. 'slots', p .. 'ages'
local QUEUED, PROCESSING, COMPLETED, FAILED = '0', '1', '2', '3'

local function sub_key(token) return p .. 'sub:' .. token end
local function job_key(token) return p .. 'job:' .. token end
local function out_key(token) return p .. 'out:' .. token end
local function queue_key(priority, lane) return p .. 'queue:' .. priority .. ':' .. lane end
local function tags_key(priority, lane) return p .. 'tags:' .. priority .. ':' .. lane end
local function client_key(client) return p .. 'client:' .. client end
local function parked_key(client) return p .. 'parked:' .. client end
local function dead_key(token) return p .. 'dead:' .. token end
local function heads_key(priority) return p .. 'heads:' .. priority end
local function bell_key(lane) return p .. 'bell:' .. lane end

-- The store's clock: machines need not agree.
local function now_ms()
    local t = redis.call('TIME')
    return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- A lane's count that comes to 0 is dropped, so that lanes nobody uses leave nothing.
local function count_one(field, by)
    if by ~= 0 and redis.call('HINCRBY', DEPTH, field, by) == 0 then
        redis.call('HDEL', DEPTH, field)
    end
end

local function count(lane, waiting, running)
    count_one('waiting', waiting)
    count_one('w:' .. lane, waiting)
    count_one('r:' .. lane, running)
end

local function waiting_in(lane)
    return tonumber(redis.call('HGET', DEPTH, 'w:' .. lane)) or 0
end

-- A bell never holds more than its lane's submissions.
local function trim_bell(lane)
    local waiting = waiting_in(lane)
    if waiting == 0 then
        redis.call('DEL', bell_key(lane))
    else
        redis.call('LTRIM', bell_key(lane), 0, waiting - 1)
    end
end

-- In a queue a submission is "SEQ:TOKEN", so that its age can be told from the queue alone.  Its score is its tag.
--
-- Turns among clients: nobody's tag is its seq.  A client's tag is one more than its last in that queue, or that of the
-- queue's head if that is more: so the clients that wait stand like the teeth of a zip, and who comes new stands near
-- the front, at a cost that does not depend on how many wait.  The last tags are forgotten with an empty queue.
local function item(seq, token) return string.format('%016d:%s', seq, token) end
local function token_in(member) return string.match(member, ':(%w+)$') end

-- The age of a queue's head stands in `heads`, so that a claim compares lanes without opening their queues.
local function note_head(priority, lane, client)
    local head = redis.call('ZRANGE', queue_key(priority, lane), 0, 0)[1]
    if head then
        redis.call('ZADD', heads_key(priority), tonumber(string.match(head, '^%d+')), lane)
    else
        redis.call('ZREM', heads_key(priority), lane)
        if client ~= '' then redis.call('DEL', tags_key(priority, lane)) end
    end
end

local function leave_queue(token, priority, lane, seq, client)
    redis.call('ZREM', queue_key(priority, lane), item(seq, token))
    note_head(priority, lane, client)
end

local function publish(token, state, cancelled)
    redis.call('PUBLISH', p .. 'events', token .. ' ' .. state .. ' ' .. cancelled)
end

-- Of a client, in `client:NAME`: q waiting, a active (running, or in a queue), m the most that may be active (0: any).
-- What is beyond m is parked, by priority and age, and comes into its queue when another of that client's has ended.
-- So a claim never meets a submission it may not hand out.
local function join(token, priority, lane, seq, client)
    local queue, tags = queue_key(priority, lane), tags_key(priority, lane)
    local first = tonumber(redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')[2])
    local last = tonumber(redis.call('HGET', tags, client))
    local tag = tonumber(seq)
    if first then tag = last and math.max(first, last + 1) or first end
    redis.call('HSET', tags, client, tag)
    redis.call('HSET', sub_key(token), 'client', client, 'tag', tag, 'parked', 0)
    redis.call('ZADD', queue, tag, item(seq, token))
    note_head(priority, lane, client)
    count_one('w:' .. lane, 1)
    redis.call('RPUSH', bell_key(lane), '1')
end

-- A new one of a client that has a name; the total of what waits is the caller's to count.
local function enter(token, priority, lane, seq, client, running_max)
    local key = client_key(client)
    local at = redis.call('HMGET', key, 'q', 'a', 'm')
    local active = tonumber(at[2]) or 0
    running_max = tonumber(running_max or at[3]) or 0
    local parks = running_max > 0 and active >= running_max
    redis.call('HSET', key, 'q', (tonumber(at[1]) or 0) + 1, 'a', parks and active or active + 1, 'm', running_max)
    redis.call('ZADD', AGES, seq, token)
    if parks then
        redis.call('HSET', sub_key(token), 'client', client, 'parked', 1)
        redis.call('ZADD', parked_key(client), priority * 2 ^ 48 + seq, item(seq, token))
        count_one('p' .. priority .. ':' .. lane, 1)
    else
        join(token, priority, lane, seq, client)
    end
end

-- One that was active is no more: the next one parked may come.
local function client_ended(client)
    local key = client_key(client)
    local active = redis.call('HINCRBY', key, 'a', -1)
    local most = tonumber(redis.call('HGET', key, 'm')) or 0
    for _ = 1, 100 do -- more than one only where the limit was raised meanwhile
        if most > 0 and active >= most then return end
        local member = redis.call('ZPOPMIN', parked_key(client))[1]
        if not member then break end
        local token = token_in(member)
        local at = redis.call('HMGET', sub_key(token), 'state', 'priority', 'lane', 'seq')
        if at[1] == QUEUED then
            count_one('p' .. at[2] .. ':' .. at[3], -1)
            active = redis.call('HINCRBY', key, 'a', 1)
            join(token, at[2], at[3], at[4], client)
        end
    end
    if active <= 0 then redis.call('DEL', key) end
end

local function client_waits(client, token, by, seq)
    redis.call('HINCRBY', client_key(client), 'q', by)
    if by > 0 then
        redis.call('ZADD', AGES, seq, token)
    else
        redis.call('ZREM', AGES, token)
    end
end

-- Back where it stood: its seq, or its tag, is its place.
local function requeue(token, priority, lane, seq, lost, client, tag)
    redis.call('ZREM', LEASES, token)
    redis.call('HSET', sub_key(token), 'state', QUEUED, 'queued', now_ms(), 'started', 0, 'worker', '', 'lost', lost)
    redis.call('ZADD', queue_key(priority, lane), tag or seq, item(seq, token))
    if client then
        client_waits(client, token, 1, seq)
        note_head(priority, lane, client)
    else
        redis.call('ZADD', heads_key(priority), 'LT', seq, lane)
    end
    count(lane, 1, -1)
    redis.call('RPUSH', bell_key(lane), '1')
    publish(token, QUEUED, 0)
end

-- Ended: what clients ask for stays for its time, the payload goes.  `by` names the call, so that the same call,
-- repeated because its answer was lost, gets the same answer.
-- `client`: whose active one it was, or false.  `now` may be left out.
local function finish(token, state, result, cancelled, by, ttl_ms, client, now)
    redis.call('ZREM', LEASES, token)
    redis.call('DEL', job_key(token))
    redis.call('HSET', sub_key(token), 'state', state, 'finished', now or now_ms(), 'cancelled', cancelled,
        'by', by)
    redis.call('PEXPIRE', sub_key(token), ttl_ms)
    redis.call('SET', out_key(token), result, 'PX', ttl_ms)
    publish(token, state, cancelled)
    if client then client_ended(client) end
end

-- What a worker's last heartbeat told: its slots, how many of them are busy, how many submissions it holds.  The busy
-- ones stand last: a worker of an older version tells none.
local function slots_in(told)
    local slots, running, busy = string.match(told or '', '^(%d+) (%d+) ?(%d*)')
    return tonumber(slots) or 0, tonumber(busy) or 0, tonumber(running) or 0
end

-- The sums over all workers, which servers of an older version read while a fleet is updated; ours read the workers
-- (depth.lua).  0 + n, because -0 is no integer to Redis.
local function count_slots(name, slots, busy)
    local slots_before, busy_before = slots_in(redis.call('HGET', SLOTS, name))
    redis.call('HINCRBY', DEPTH, 'slots', 0 + slots - slots_before)
    redis.call('HINCRBY', DEPTH, 'busy', 0 + busy - busy_before)
end

local function forget_worker(name)
    count_slots(name, 0, 0)
    redis.call('HDEL', SLOTS, name)
    redis.call('ZREM', WORKERS, name)
end
