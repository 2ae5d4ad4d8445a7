-- What several scripts use; embed.py puts the definitions that a script needs at its beginning.  KEYS[1] is
-- "{PREFIX}:".  Every key starts with it, so all keys are in one hash slot, and this one key is enough for a cluster to
-- find the node.
--
-- Names: a "queue" is the queue of one language.  Its keys and fields say "lane", an older word for it, because workers
-- of an older version read them, too.  A "wakeup" is an element of the list bell:QUEUE: an idle claimer blocks on the
-- lists of its queues (BLPOP), and each element wakes one claimer.
local p = KEYS[1]
local DEPTH = p .. 'depth'
local LEASES = p .. 'leases'
local DEAD = p .. 'dead'
local WORKERS = p .. 'workers'
local SLOTS = p .. 'slots'
local AGES = p .. 'ages'
local BYTES = p .. 'bytes'
local ENDED = p .. 'ended'
local SERVED = p .. 'served'
local RECOUNT = p .. 'recount'
local OLDER = p .. 'older'
local QUEUED, PROCESSING, COMPLETED, FAILED = '0', '1', '2', '3'

local function sub_key(token) return p .. 'sub:' .. token end
local function job_key(token) return p .. 'job:' .. token end
local function out_key(token) return p .. 'out:' .. token end
local function queue_key(priority, queue) return p .. 'queue:' .. priority .. ':' .. queue end
local function tags_key(priority, queue) return p .. 'tags:' .. priority .. ':' .. queue end
local function client_key(client) return p .. 'client:' .. client end
local function parked_key(client) return p .. 'parked:' .. client end
local function dead_key(token) return p .. 'dead:' .. token end
local function heads_key(priority) return p .. 'heads:' .. priority end
local function wakeup_key(queue) return p .. 'bell:' .. queue end

-- The clock of the store, so that the clocks of the machines need not agree.
local function now_ms()
    local t = redis.call('TIME')
    return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- A count of 0 is deleted, so that unused queues leave nothing behind.  Returns the new count.
local function count_one(field, by)
    if by == 0 then return 0 end
    local left = redis.call('HINCRBY', DEPTH, field, by)
    if left == 0 then redis.call('HDEL', DEPTH, field) end
    return left
end

-- Returns what waits in the queue now, if `waiting` is not 0.
local function count(queue, waiting, running)
    count_one('waiting', waiting)
    count_one('r:' .. queue, running)
    return count_one('w:' .. queue, waiting)
end

local function waiting_in(queue)
    return tonumber(redis.call('HGET', DEPTH, 'w:' .. queue)) or 0
end

-- A queue has no more wakeups than waiting submissions.
local function trim_wakeups(queue, waiting)
    if waiting <= 0 then
        redis.call('DEL', wakeup_key(queue))
    else
        redis.call('LTRIM', wakeup_key(queue), 0, waiting - 1)
    end
end

-- The member of a submission in its queue is "SEQ:TOKEN", so that the queue alone gives its age.  Its score is its tag.
--
-- Turns among clients: the tag of an anonymous submission is its seq.  A client's submission gets the tag after its last
-- one in that queue, or the tag of the queue's head if that is higher.  So waiting clients alternate, and a new client
-- starts near the front, at a cost that does not depend on how many wait.  An empty queue deletes its last tags.
local function item(seq, token) return string.format('%016d:%s', seq, token) end
local function token_in(member) return string.match(member, ':(%w+)$') end

-- `heads` holds the seq of each queue's head, so that a claim compares queues without reading them.
local function note_head(priority, queue, client)
    local head = redis.call('ZRANGE', queue_key(priority, queue), 0, 0)[1]
    if head then
        redis.call('ZADD', heads_key(priority), tonumber(string.match(head, '^%d+')), queue)
    else
        redis.call('ZREM', heads_key(priority), queue)
        if client ~= '' then redis.call('DEL', tags_key(priority, queue)) end
    end
end

local function leave_queue(token, priority, queue, seq, client)
    redis.call('ZREM', queue_key(priority, queue), item(seq, token))
    note_head(priority, queue, client)
end

local function publish(token, state, cancelled)
    redis.call('PUBLISH', p .. 'events', token .. ' ' .. state .. ' ' .. cancelled)
end

-- `client:NAME` counts a client's submissions: q waiting, a active (running, or in a queue), m the limit on active ones
-- (running_max; 0: none).  Submissions beyond m are parked, ordered by priority and age.  One of them enters its queue
-- when an active one of that client ends.  So a claim never meets a submission that it may not lease.
local function join(token, priority, queue, seq, client)
    local key, tags = queue_key(priority, queue), tags_key(priority, queue)
    local first = tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
    local last = tonumber(redis.call('HGET', tags, client))
    local tag = tonumber(seq)
    if first then tag = last and math.max(first, last + 1) or first end
    redis.call('HSET', tags, client, tag)
    redis.call('HSET', sub_key(token), 'client', client, 'tag', tag, 'parked', 0)
    redis.call('ZADD', key, tag, item(seq, token))
    note_head(priority, queue, client)
    count_one('w:' .. queue, 1)
    redis.call('RPUSH', wakeup_key(queue), '1')
end

-- Stores a new submission of a named client.  The caller counts it in `waiting`.
local function enter(token, priority, queue, seq, client, running_max)
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
        count_one('p' .. priority .. ':' .. queue, 1)
    else
        join(token, priority, queue, seq, client)
    end
end

-- An active submission of the client has ended, so the next parked one may enter its queue.
local function client_run_ended(client)
    local key = client_key(client)
    local active = redis.call('HINCRBY', key, 'a', -1)
    local most = tonumber(redis.call('HGET', key, 'm')) or 0
    for _ = 1, 100 do -- more than one if the limit was raised since
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

local function count_client_waiting(client, token, by, seq)
    redis.call('HINCRBY', client_key(client), 'q', by)
    if by > 0 then
        redis.call('ZADD', AGES, seq, token)
    else
        redis.call('ZREM', AGES, token)
    end
end

-- Back to the same position: its seq, or its tag, is unchanged.
local function requeue(token, priority, queue, seq, lost, client, tag)
    redis.call('ZREM', LEASES, token)
    redis.call('HSET', sub_key(token), 'state', QUEUED, 'queued', now_ms(), 'started', 0, 'worker', '', 'lost', lost)
    redis.call('ZADD', queue_key(priority, queue), tag or seq, item(seq, token))
    if client then
        count_client_waiting(client, token, 1, seq)
        note_head(priority, queue, client)
    else
        redis.call('ZADD', heads_key(priority), 'LT', seq, queue)
    end
    count(queue, 1, -1)
    redis.call('RPUSH', wakeup_key(queue), '1')
    publish(token, QUEUED, 0)
end

-- What payloads and results take: the fields `payloads` and `results` of `depth`, and q:CLIENT and r:CLIENT of `bytes`
-- for named clients.  A submission has its payload's size in `bytes` if that was counted: an older version counts nothing.
local function count_bytes(key, field, by)
    local held = redis.call('HINCRBY', key, field, 0 + by) -- 0 + by, because Redis does not accept -0
    if held <= 0 then redis.call('HDEL', key, field) end
    return held
end

local function count_payload(bytes, client, sign)
    if not bytes then return end
    count_bytes(DEPTH, 'payloads', sign * bytes)
    if client then count_bytes(BYTES, 'q:' .. client, sign * bytes) end
end

-- After a refusal for the bytes of payloads: reaping counts them anew, at most once a minute (reap_expired.lua).
local function ask_recount() redis.call('SET', RECOUNT, 1, 'NX') end

-- Counts a result and returns for how long it is kept: less long from half of a budget on.  What was counted is subtracted
-- by buckets when it expires: `ended` holds buckets by their time, `ended:TIME` the bytes of each client ('' for none).
-- `budget` is "TTL_MS TTL_MIN_MS RESULTS_BYTES CLIENT_RESULTS_BYTES".
local function count_result(bytes, client, budget, now)
    local ttl, ttl_min, most, client_most = string.match(budget, '^(%d+) (%d+) (%d+) (%d+)$')
    local is_pressed = 2 * count_bytes(DEPTH, 'results', bytes) > tonumber(most)
    if client then
        local held = count_bytes(BYTES, 'r:' .. client, bytes)
        is_pressed = is_pressed or (client_most ~= '0' and 2 * held > tonumber(client_most))
    end
    ttl = tonumber(is_pressed and ttl_min or ttl)
    local width = math.max(math.floor(ttl / 64), 1)
    local bucket = string.format('%.0f', (math.floor((now + ttl) / width) + 1) * width)
    if redis.call('HINCRBY', ENDED .. ':' .. bucket, client or '', bytes) == bytes then
        redis.call('ZADD', ENDED, bucket, bucket)
    end
    return ttl
end

local function forget_results(now)
    for _, bucket in ipairs(redis.call('ZRANGEBYSCORE', ENDED, '-inf', now)) do
        local counts = redis.call('HGETALL', ENDED .. ':' .. bucket)
        for i = 1, #counts, 2 do
            count_bytes(DEPTH, 'results', -counts[i + 1])
            if counts[i] ~= '' then count_bytes(BYTES, 'r:' .. counts[i], -counts[i + 1]) end
        end
        redis.call('DEL', ENDED .. ':' .. bucket)
        redis.call('ZREM', ENDED, bucket)
    end
end

local function results_full(budget)
    return tonumber(redis.call('HGET', DEPTH, 'results') or 0) >= tonumber(string.match(budget, '^%d+ %d+ (%d+)'))
end

-- Ends a submission: what clients read is kept as long as the budget says, the payload is deleted.  `by` names the call,
-- so that the same call, repeated because its answer was lost, gets the same answer.  `at` has client and bytes of the
-- submission (or false), and is_active: whether it was active.
local function finish(token, state, result, cancelled, by, budget, at, now)
    now = now or now_ms()
    count_payload(at.bytes, at.client, -1)
    local ttl_ms = count_result(#result, at.client, budget, now)
    redis.call('ZREM', LEASES, token)
    redis.call('DEL', job_key(token))
    redis.call('HSET', sub_key(token), 'state', state, 'finished', now, 'cancelled', cancelled, 'by', by)
    redis.call('PEXPIRE', sub_key(token), ttl_ms)
    redis.call('SET', out_key(token), result, 'PX', ttl_ms)
    publish(token, state, cancelled)
    if at.client and at.is_active then client_run_ended(at.client) end
end

-- Ends a running submission as a dead letter.
local function bury(token, reason, budget, dead_ms)
    local at = redis.call('HMGET', sub_key(token), 'priority', 'lane', 'attempt', 'created', 'client', 'bytes')
    local now, payload = now_ms(), redis.call('GET', job_key(token)) or ''
    redis.call('HSET', dead_key(token), 'lane', at[2], 'priority', at[1], 'attempt', at[3], 'created', at[4],
        'died', now, 'reason', reason, 'payload', payload, 'bytes', #payload, 'client', at[5] or '')
    redis.call('PEXPIRE', dead_key(token), dead_ms)
    redis.call('ZADD', DEAD, now, token)
    count(at[2], 0, -1)
    finish(token, FAILED, reason, 0, '', budget, { client = at[5], bytes = at[6], is_active = true }, now)
end

-- The last heartbeat of a worker is "SLOTS RUNNING BUSY VERSION".  Without a version, it does not name its queues.
local function names_queues(stored)
    return string.match(stored or '', '^%d+ %d+ %d* %d') ~= nil
end

-- Of a heartbeat: slots, busy slots, running submissions.  Workers of an
-- older version send no busy slots.
local function parse_heartbeat(stored)
    local slots, running, busy = string.match(stored or '', '^(%d+) (%d+) ?(%d*)')
    return tonumber(slots) or 0, tonumber(busy) or 0, tonumber(running) or 0
end

-- Sums over all workers, for API servers of an older version; this version adds up the workers (depth.lua).
-- 0 + n, because Redis does not accept -0 as an integer.
local function count_slots(name, slots, busy)
    local slots_before, busy_before = parse_heartbeat(redis.call('HGET', SLOTS, name))
    redis.call('HINCRBY', DEPTH, 'slots', 0 + slots - slots_before)
    redis.call('HINCRBY', DEPTH, 'busy', 0 + busy - busy_before)
end

local function forget_worker(name)
    count_slots(name, 0, 0)
    redis.call('HDEL', SLOTS, name)
    redis.call('ZREM', WORKERS, name)
end
