#!lua
-- ARGV: queue_max, idempotency_ms, queue_bytes, client_queue_bytes (0: no limit), budget of results, unserved_ms
-- (0: do not ask who serves a queue), then nine for each entry: token, priority, queue, payload, client, its queued_max and
-- running_max, key, body.
--
-- Returns 'OK' if all were added.  If none was, 'FULL' because queue_max submissions would wait, 'BYTES' because their
-- payloads would exceed queue_bytes, 'RESULTS' because the results take their budget.  Otherwise returns one word for each
-- entry, separated by blanks.  redis/calls.c (enum add_word) reads them:
--   A      added                                                STORE_ADDED
--   TOKEN  the key was used for the same request before         STORE_REPEATED
--   C      the key was used for another request                 STORE_CONFLICT
--   L      the client has queued_max submissions waiting        STORE_CLIENT_FULL, HTTP 429
--   Q      its payloads would exceed client_queue_bytes         STORE_CLIENT_QUEUE_BYTES, HTTP 429
--   U      no worker has served its queue for unserved_ms       STORE_UNSERVED, HTTP 503
--   R      its results take client_results_bytes                STORE_CLIENT_RESULTS_BYTES, HTTP 429
--
-- A token that exists already is left alone: an add whose answer was lost is simply repeated.
local OK, FULL, BYTES_FULL, RESULTS_FULL = 'OK', 'FULL', 'BYTES', 'RESULTS'
local ADDED, CONFLICT, CLIENT_FULL, CLIENT_QUEUE_BYTES, CLIENT_RESULTS_BYTES, UNSERVED = 'A', 'C', 'L', 'Q', 'R', 'U'
local EACH = 9
local queue_max, queue_bytes, client_queue_bytes = tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4])
local new_entries, new_tokens, new_keys, waiting_of, bytes_of, words, all_added = {}, {}, {}, {}, {}, {}, true
local new_bytes, now = 0, now_ms()

-- Workers of an older version do not say what they serve: while one lives (`older`, set by reaping), every queue may be
-- served.
local served_of = {}
local function is_served(queue)
    if ARGV[6] == '0' then return true end
    if served_of[queue] == nil then
        local is = now - (redis.call('ZMSCORE', SERVED, queue)[1] or 0) <= tonumber(ARGV[6])
        served_of[queue] = is or redis.call('EXISTS', OLDER) == 1
    end
    return served_of[queue]
end

-- Whether the budgets of a named client refuse a payload of so many bytes.
local function check_client(client, bytes)
    local held = redis.call('HMGET', BYTES, 'q:' .. client, 'r:' .. client)
    local queued = (bytes_of[client] or 0) + (tonumber(held[1]) or 0)
    local client_results_bytes = tonumber(string.match(ARGV[5], '(%d+)$'))
    if client_queue_bytes > 0 and queued > 0 and queued + bytes > client_queue_bytes then
        ask_recount()
        return CLIENT_QUEUE_BYTES
    end
    if client_results_bytes > 0 and (tonumber(held[2]) or 0) >= client_results_bytes then return CLIENT_RESULTS_BYTES end
    bytes_of[client] = (bytes_of[client] or 0) + bytes
    return ADDED
end

-- Returns the word for the entry at ARGV[i].
local function check_entry(i)
    local client, queued_max, key = ARGV[i + 4], tonumber(ARGV[i + 5]), ARGV[i + 7]
    if key ~= '' then
        local first = new_keys[key] or redis.call('GET', p .. 'key:' .. key)
        if first then
            if string.sub(first, 28) ~= ARGV[i + 8] then return CONFLICT end
            return string.sub(first, 1, 26)
        end
    end
    if not is_served(ARGV[i + 2]) then return UNSERVED end
    if queued_max > 0 then
        waiting_of[client] = waiting_of[client] or tonumber(redis.call('HGET', client_key(client), 'q')) or 0
        if waiting_of[client] >= queued_max then return CLIENT_FULL end
    end
    local word = client ~= '' and check_client(client, #ARGV[i + 3]) or ADDED
    if word == ADDED and queued_max > 0 then waiting_of[client] = waiting_of[client] + 1 end
    return word
end

for i = 7, #ARGV, EACH do
    local token, word = ARGV[i], ADDED
    if not new_tokens[token] and redis.call('EXISTS', sub_key(token)) == 0 then
        word = check_entry(i)
        if word == ADDED then
            new_tokens[token] = true
            new_entries[#new_entries + 1] = i
            new_bytes = new_bytes + #ARGV[i + 3]
            if ARGV[i + 7] ~= '' then new_keys[ARGV[i + 7]] = token .. ' ' .. ARGV[i + 8] end
        end
    end
    if word ~= ADDED then all_added = false end
    words[#words + 1] = word
end
local answer = all_added and OK or table.concat(words, ' ')
if #new_entries == 0 then return answer end
local held = redis.call('HMGET', DEPTH, 'waiting', 'payloads', 'results')
if (held[1] or 0) + #new_entries > queue_max then return FULL end
-- One submission is always taken if nothing else is held.
if tonumber(held[2] or 0) > 0 and held[2] + new_bytes > queue_bytes then
    ask_recount()
    return BYTES_FULL
end
if tonumber(held[3] or 0) >= tonumber(string.match(ARGV[5], '^%d+ %d+ (%d+)')) then return RESULTS_FULL end
count_bytes(DEPTH, 'payloads', new_bytes)
for client, bytes in pairs(bytes_of) do count_bytes(BYTES, 'q:' .. client, bytes) end

local seq = redis.call('INCRBY', p .. 'seq', #new_entries) - #new_entries
local queues, named = {}, 0
for _, i in ipairs(new_entries) do
    local token, priority, queue, client = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 4]
    seq = seq + 1
    redis.call('HSET', sub_key(token), 'state', QUEUED, 'priority', priority, 'lane', queue, 'seq', seq,
        'attempt', 0, 'lost', 0, 'created', now, 'queued', now, 'bytes', #ARGV[i + 3])
    redis.call('SET', job_key(token), ARGV[i + 3])
    if client ~= '' then
        named = named + 1
        enter(token, priority, queue, seq, client, ARGV[i + 6])
    else
        redis.call('ZADD', queue_key(priority, queue), seq, item(seq, token))
        local new = queues[queue]
        if not new then
            new = { wakeups = {}, heads = {} }
            queues[queue] = new
        end
        new.wakeups[#new.wakeups + 1] = '1'
        new.heads[priority] = new.heads[priority] or seq
    end
end
count_one('waiting', named)
for key, first in pairs(new_keys) do redis.call('SET', p .. 'key:' .. key, first, 'PX', ARGV[2]) end
for queue, new in pairs(queues) do
    count(queue, #new.wakeups, 0)
    for priority, first in pairs(new.heads) do
        redis.call('ZADD', heads_key(priority), 'LT', first, queue)
    end
    for i = 1, #new.wakeups, 1000 do
        redis.call('RPUSH', wakeup_key(queue), unpack(new.wakeups, i, math.min(i + 999, #new.wakeups)))
    end
end
return answer
