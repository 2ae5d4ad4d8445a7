#!lua
-- ARGV: queue_max, idempotency_ms, then nine for each entry: token, priority, queue, payload, client, its queued_max and
-- running_max, key, body.
--
-- Returns 'OK' if all were added, 'FULL' if none was, because queue_max submissions would wait.  Otherwise returns one
-- word for each entry, separated by blanks.  redis/calls.c (enum add_word) reads them:
--   A      added                                                STORE_ADDED
--   TOKEN  the key was used for the same request before         STORE_REPEATED
--   C      the key was used for another request                 STORE_CONFLICT
--   L      the client has queued_max submissions waiting        STORE_CLIENT_FULL, HTTP 429
--
-- A token that exists already is left alone: an add whose answer was lost is simply repeated.
local OK, FULL, ADDED, CONFLICT, CLIENT_FULL = 'OK', 'FULL', 'A', 'C', 'L'
local EACH = 9
local queue_max = tonumber(ARGV[1])
local new_entries, new_tokens, new_keys, waiting_of, words, all_added = {}, {}, {}, {}, {}, true

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
    if queued_max > 0 then
        waiting_of[client] = waiting_of[client] or tonumber(redis.call('HGET', client_key(client), 'q')) or 0
        if waiting_of[client] >= queued_max then return CLIENT_FULL end
        waiting_of[client] = waiting_of[client] + 1
    end
    return ADDED
end

for i = 3, #ARGV, EACH do
    local token, word = ARGV[i], ADDED
    if not new_tokens[token] and redis.call('EXISTS', sub_key(token)) == 0 then
        word = check_entry(i)
        if word == ADDED then
            new_tokens[token] = true
            new_entries[#new_entries + 1] = i
            if ARGV[i + 7] ~= '' then new_keys[ARGV[i + 7]] = token .. ' ' .. ARGV[i + 8] end
        end
    end
    if word ~= ADDED then all_added = false end
    words[#words + 1] = word
end
local answer = all_added and OK or table.concat(words, ' ')
if #new_entries == 0 then return answer end
if (tonumber(redis.call('HGET', DEPTH, 'waiting')) or 0) + #new_entries > queue_max then return FULL end

local now = now_ms()
local seq = redis.call('INCRBY', p .. 'seq', #new_entries) - #new_entries
local queues, named = {}, 0
for _, i in ipairs(new_entries) do
    local token, priority, queue, client = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 4]
    seq = seq + 1
    redis.call('HSET', sub_key(token), 'state', QUEUED, 'priority', priority, 'lane', queue, 'seq', seq,
        'attempt', 0, 'lost', 0, 'created', now, 'queued', now)
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
