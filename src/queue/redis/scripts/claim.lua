#!lua flags=allow-oom
-- ARGV: worker, lease_ms, max, asker, number, again (0 or 1), the lane whose bell the asker took or '', lanes...
-- Returns token, attempt, waited_ms, payload for each.
--
-- An asker numbers its questions; the last answer is kept, so that the same question asked again, because its answer
-- was lost, gets what it was given the first time.
local worker, lease_ms, max, rung = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[7]
local asked = p .. 'asked:' .. ARGV[4]
local now = now_ms()
local claims = {}

local function give(token, attempt, waited_ms)
    claims[#claims + 1] = token
    claims[#claims + 1] = attempt
    claims[#claims + 1] = waited_ms
    claims[#claims + 1] = redis.call('GET', job_key(token)) or ''
end

if ARGV[6] == '1' then
    local answer = redis.call('GET', asked)
    if answer and string.match(answer, '^%d+') == ARGV[5] then
        for token, attempt in string.gmatch(answer, ' (%w+):(%d+)') do
            local at = redis.call('HMGET', sub_key(token), 'state', 'attempt', 'started', 'queued')
            if at[1] == PROCESSING and at[2] == attempt and #claims < 4 * max then
                give(token, tonumber(attempt), at[3] - at[4])
            end
        end
        return claims
    end
end

local lanes = {}
for i = 8, #ARGV do lanes[#lanes + 1] = ARGV[i] end
if #lanes == 0 then return claims end

-- High, normal, low; but every 8th claim starts from the lowest and every 4th from normal, so that nothing starves.
-- Counted by the set of lanes asked for: otherwise two kinds of workers in step could take each other's turns.
local sorted = { unpack(lanes) }
table.sort(sorted)
local set = redis.sha1hex(table.concat(sorted, ','))
local turns = p .. 'turns'
local turn = tonumber(redis.call('HGET', turns, set)) or 0
local function priorities()
    if turn % 8 == 7 then return { 2, 1, 0 } end
    if turn % 4 == 3 then return { 1, 0, 2 } end
    return { 0, 1, 2 }
end

local function oldest()
    for _, priority in ipairs(priorities()) do
        local seqs = redis.call('ZMSCORE', heads_key(priority), unpack(lanes))
        local best, lane
        for i = 1, #lanes do
            local seq = seqs[i] and tonumber(seqs[i])
            if seq and (not best or seq < best) then best, lane = seq, lanes[i] end
        end
        if lane then return priority, lane end
    end
end

local touched, answer, taken = {}, { ARGV[5] }, 0
while taken < max do
    local priority, lane = oldest()
    if not lane then break end
    local member = redis.call('ZPOPMIN', queue_key(priority, lane))[1]
    local token = member and token_in(member)
    local at = token and redis.call('HMGET', sub_key(token), 'state', 'queued', 'client')
    note_head(priority, lane, at and at[3] or '')
    if not token then break end
    touched[lane] = true
    if at[3] then client_waits(at[3], token, -1) end
    if at[1] ~= QUEUED then
        count(lane, -1, 0) -- its keys are gone: somebody removed them by hand
    else
        local attempt = redis.call('HINCRBY', sub_key(token), 'attempt', 1)
        redis.call('HSET', sub_key(token), 'state', PROCESSING, 'started', now, 'worker', worker)
        redis.call('ZADD', LEASES, now + lease_ms, token)
        count(lane, -1, 1)
        publish(token, PROCESSING, 0)
        give(token, attempt, now - at[2])
        answer[#answer + 1] = token .. ':' .. attempt
        turn = turn + 1
        taken = taken + 1
    end
end
if taken > 0 then
    redis.call('HSET', turns, set, turn % 8)
    if redis.call('HLEN', turns) > 1000 then redis.call('DEL', turns) end
    redis.call('SET', asked, table.concat(answer, ' '), 'PX', lease_ms)
end
for lane in pairs(touched) do trim_bell(lane) end
-- Came for one lane, served another: the bell rings for the next one.
if rung ~= '' and not touched[rung] and waiting_in(rung) > redis.call('LLEN', bell_key(rung)) then
    redis.call('RPUSH', bell_key(rung), '1')
end
return claims
