#!lua flags=allow-oom
-- ARGV: worker, lease_ms, max, connection, number, again (0 or 1), the queue whose wakeup the connection took or '',
-- budget of results, filter (the priorities "P" and clients "P:CLIENT" to leave out, separated by blanks, or ''), queues...  Returns token,
-- attempt, waited_ms, payload, lost for each claim.
--
-- A claim connection numbers its requests, and its last answer is stored.  If an answer was lost, the connection sends
-- the same request with `again`, and gets the submissions it was given the first time.
local worker, lease_ms, max, woken_queue = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[7]
local answer_key = p .. 'asked:' .. ARGV[4]
local now = now_ms()
local claims = {}

local function add_claim(token, attempt, waited_ms, lost)
    claims[#claims + 1] = token
    claims[#claims + 1] = attempt
    claims[#claims + 1] = waited_ms
    claims[#claims + 1] = redis.call('GET', job_key(token)) or ''
    claims[#claims + 1] = tonumber(lost) or 0
end

if ARGV[6] == '1' then
    local answer = redis.call('GET', answer_key)
    if answer and string.match(answer, '^%d+') == ARGV[5] then
        for token, attempt in string.gmatch(answer, ' (%w+):(%d+)') do
            local at = redis.call('HMGET', sub_key(token), 'state', 'attempt', 'started', 'queued', 'lost')
            if at[1] == PROCESSING and at[2] == attempt and #claims < 5 * max then
                add_claim(token, tonumber(attempt), at[3] - at[4], at[5])
            end
        end
        return claims
    end
end

local queues = {}
for i = 10, #ARGV do queues[#queues + 1] = ARGV[i] end
if #queues == 0 then return claims end
if results_full(ARGV[8]) then -- nothing runs until some have expired; reaping then adds wakeups again
    for _, queue in ipairs(queues) do redis.call('DEL', wakeup_key(queue)) end
    return claims
end

-- High, normal, low; but every 8th claim starts with low and every 4th with normal, so that nothing starves.  Claims are
-- counted for each set of queues: otherwise two kinds of workers that alternate could take each other's turns.
local sorted = { unpack(queues) }
table.sort(sorted)
local set = redis.sha1hex(table.concat(sorted, ','))
local turns = p .. 'turns'
local turn = tonumber(redis.call('HGET', turns, set)) or 0
local function priorities()
    if turn % 8 == 7 then return { 2, 1, 0 } end
    if turn % 4 == 3 then return { 1, 0, 2 } end
    return { 0, 1, 2 }
end

-- With a filter: the first member of the queue that it passes.  Only the first 64 are looked at (STORE_LOOK_MAX).
local without, is_filtered = {}, false
for flow in string.gmatch(ARGV[9], '%S+') do without[flow], is_filtered = true, true end
local function first_passed(priority, queue)
    for _, member in ipairs(redis.call('ZRANGE', queue_key(priority, queue), 0, 63)) do
        local client = redis.call('HGET', sub_key(token_in(member)), 'client') or ''
        if not without[priority .. ':' .. client] then return member end
    end
end

local function oldest_passed()
    for _, priority in ipairs(priorities()) do
        local best, found
        for _, queue in ipairs(queues) do
            local member = not without[tostring(priority)] and first_passed(priority, queue)
            if member and (not best or member < best) then best, found = member, queue end
        end
        if best then return priority, found, best end
    end
end

local function oldest()
    if is_filtered then return oldest_passed() end
    for _, priority in ipairs(priorities()) do
        local seqs = redis.call('ZMSCORE', heads_key(priority), unpack(queues))
        local best, queue
        for i = 1, #queues do
            local seq = seqs[i] and tonumber(seqs[i])
            if seq and (not best or seq < best) then best, queue = seq, queues[i] end
        end
        if queue then return priority, queue end
    end
end

local touched, answer, taken = {}, { ARGV[5] }, 0
while taken < max do
    local priority, queue, member = oldest()
    if not queue then break end
    if member then
        redis.call('ZREM', queue_key(priority, queue), member)
    else
        member = redis.call('ZPOPMIN', queue_key(priority, queue))[1]
    end
    local token = member and token_in(member)
    local at = token and redis.call('HMGET', sub_key(token), 'state', 'queued', 'client', 'lost', 'attempt')
    note_head(priority, queue, at and at[3] or '')
    if not token then break end
    if at[3] then count_client_waiting(at[3], token, -1) end
    if at[1] ~= QUEUED then
        touched[queue] = count(queue, -1, 0) -- its keys were deleted by hand
    else
        local attempt = at[5] + 1
        redis.call('HSET', sub_key(token), 'state', PROCESSING, 'started', now, 'worker', worker, 'attempt', attempt)
        redis.call('ZADD', LEASES, now + lease_ms, token)
        touched[queue] = count(queue, -1, 1)
        publish(token, PROCESSING, 0)
        add_claim(token, attempt, now - at[2], at[4])
        answer[#answer + 1] = token .. ':' .. attempt
        turn = turn + 1
        taken = taken + 1
    end
end
if taken > 0 then
    if redis.call('HSET', turns, set, turn % 8) == 1 and redis.call('HLEN', turns) > 1000 then redis.call('DEL', turns) end
    redis.call('SET', answer_key, table.concat(answer, ' '), 'PX', lease_ms)
end
for queue, waiting in pairs(touched) do trim_wakeups(queue, waiting) end
-- Woken for one queue, served another one: return the wakeup for the next claimer.
if woken_queue ~= '' and not touched[woken_queue] then
    local key = wakeup_key(woken_queue)
    if waiting_in(woken_queue) > redis.call('LLEN', key) then redis.call('RPUSH', key, '1') end
end
return claims
