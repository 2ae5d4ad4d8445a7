#!lua
-- ARGV: queue_max, idempotency_ms, then nine for each: token, priority, lane, payload, client, its queued_max and
-- running_max, key, body.  Returns 'OK', 'FULL' (nothing was added), or a word for each: 'A' added, 'C' conflict, 'L' the
-- client's limit, or the token that the key stands for.
-- A token that is there already is left alone: an add whose answer was lost is simply repeated.
local EACH = 9
local queue_max = tonumber(ARGV[1])
local fresh, seen, keys, waits, words, plain = {}, {}, {}, {}, {}, true

-- The word for the entry at i, where it is not simply added.
local function refusal(i)
    local client, queued_max, key = ARGV[i + 4], tonumber(ARGV[i + 5]), ARGV[i + 7]
    if key ~= '' then
        local first = keys[key] or redis.call('GET', p .. 'key:' .. key)
        if first then
            if string.sub(first, 28) ~= ARGV[i + 8] then return 'C' end
            return string.sub(first, 1, 26)
        end
    end
    if queued_max > 0 then
        waits[client] = waits[client] or tonumber(redis.call('HGET', client_key(client), 'q')) or 0
        if waits[client] >= queued_max then return 'L' end
        waits[client] = waits[client] + 1
    end
end

for i = 3, #ARGV, EACH do
    local token, word = ARGV[i], 'A'
    if not seen[token] and redis.call('EXISTS', sub_key(token)) == 0 then
        word = refusal(i) or 'A'
        if word == 'A' then
            seen[token] = true
            fresh[#fresh + 1] = i
            if ARGV[i + 7] ~= '' then keys[ARGV[i + 7]] = token .. ' ' .. ARGV[i + 8] end
        end
    end
    if word ~= 'A' then plain = false end
    words[#words + 1] = word
end
local answer = plain and 'OK' or table.concat(words, ' ')
if #fresh == 0 then return answer end
if (tonumber(redis.call('HGET', DEPTH, 'waiting')) or 0) + #fresh > queue_max then return 'FULL' end

local now = now_ms()
local seq = redis.call('INCRBY', p .. 'seq', #fresh) - #fresh
local lanes, named = {}, 0
for _, i in ipairs(fresh) do
    local token, priority, lane, client = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 4]
    seq = seq + 1
    redis.call('HSET', sub_key(token), 'state', QUEUED, 'priority', priority, 'lane', lane, 'seq', seq,
        'attempt', 0, 'lost', 0, 'created', now, 'queued', now)
    redis.call('SET', job_key(token), ARGV[i + 3])
    if client ~= '' then
        named = named + 1
        enter(token, priority, lane, seq, client, ARGV[i + 6])
    else
        redis.call('ZADD', queue_key(priority, lane), seq, item(seq, token))
        local entry = lanes[lane]
        if not entry then
            entry = { bells = {}, heads = {} }
            lanes[lane] = entry
        end
        entry.bells[#entry.bells + 1] = '1'
        entry.heads[priority] = entry.heads[priority] or seq
    end
end
count_one('waiting', named)
for key, first in pairs(keys) do redis.call('SET', p .. 'key:' .. key, first, 'PX', ARGV[2]) end
for lane, entry in pairs(lanes) do
    count(lane, #entry.bells, 0)
    for priority, first in pairs(entry.heads) do
        redis.call('ZADD', heads_key(priority), 'LT', first, lane)
    end
    for i = 1, #entry.bells, 1000 do
        redis.call('RPUSH', bell_key(lane), unpack(entry.bells, i, math.min(i + 999, #entry.bells)))
    end
end
return answer
