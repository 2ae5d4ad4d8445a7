-- What every script begins with.  KEYS[1] is "{PREFIX}:", which every key starts with, so that all of them share
-- one hash slot and only this one has to be named for a cluster to find the node.
local p = KEYS[1]
local DEPTH, LEASES, DEAD = p .. 'depth', p .. 'leases', p .. 'dead'
local WORKERS, SLOTS = p .. 'workers', p .. 'slots'
local QUEUED, PROCESSING, COMPLETED, FAILED = '0', '1', '2', '3'

local function sub_key(token) return p .. 'sub:' .. token end
local function job_key(token) return p .. 'job:' .. token end
local function out_key(token) return p .. 'out:' .. token end
local function queue_key(priority, lane) return p .. 'queue:' .. priority .. ':' .. lane end
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

-- The oldest of a queue stands in `heads`, so that a claim compares lanes without opening their queues.
local function note_head(priority, lane)
    local head = redis.call('ZRANGE', queue_key(priority, lane), 0, 0, 'WITHSCORES')
    if head[1] then
        redis.call('ZADD', heads_key(priority), head[2], lane)
    else
        redis.call('ZREM', heads_key(priority), lane)
    end
end

local function leave_queue(token, priority, lane)
    redis.call('ZREM', queue_key(priority, lane), token)
    note_head(priority, lane)
end

local function publish(token, state, cancelled)
    redis.call('PUBLISH', p .. 'events', token .. ' ' .. state .. ' ' .. cancelled)
end

-- Back where it stood: its seq is its place.
local function requeue(token, priority, lane, seq, lost)
    redis.call('ZREM', LEASES, token)
    redis.call('HSET', sub_key(token), 'state', QUEUED, 'queued', now_ms(), 'started', 0, 'worker', '', 'lost', lost)
    redis.call('ZADD', queue_key(priority, lane), seq, token)
    redis.call('ZADD', heads_key(priority), 'LT', seq, lane)
    count(lane, 1, -1)
    redis.call('RPUSH', bell_key(lane), '1')
    publish(token, QUEUED, 0)
end

-- Ended: what clients ask for stays for its time, the payload goes.  `by` names the call, so that the same call,
-- repeated because its answer was lost, gets the same answer.
local function finish(token, state, result, cancelled, by, ttl_ms)
    redis.call('ZREM', LEASES, token)
    redis.call('DEL', job_key(token))
    redis.call('HSET', sub_key(token), 'state', state, 'finished', now_ms(), 'cancelled', cancelled, 'by', by)
    redis.call('PEXPIRE', sub_key(token), ttl_ms)
    redis.call('SET', out_key(token), result, 'PX', ttl_ms)
    publish(token, state, cancelled)
end

local function forget_worker(name)
    local held = redis.call('HGET', SLOTS, name)
    if held then -- 0 - n, because -0 is no integer to Redis
        redis.call('HINCRBY', DEPTH, 'slots', 0 - tonumber(string.match(held, '^%d+')))
        redis.call('HDEL', SLOTS, name)
    end
    redis.call('ZREM', WORKERS, name)
end
