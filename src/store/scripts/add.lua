#!lua
-- ARGV: queue_max, then token, priority, lane, payload for each.  Returns 'OK' or 'FULL'.
-- A token that is there already is left alone: an add whose answer was lost is simply repeated.
local queue_max = tonumber(ARGV[1])
local fresh, seen = {}, {}
for i = 2, #ARGV, 4 do
    local token = ARGV[i]
    if not seen[token] and redis.call('EXISTS', sub_key(token)) == 0 then
        seen[token] = true
        fresh[#fresh + 1] = i
    end
end
if #fresh == 0 then return 'OK' end
if (tonumber(redis.call('HGET', DEPTH, 'waiting')) or 0) + #fresh > queue_max then return 'FULL' end

local now = now_ms()
local seq = redis.call('INCRBY', p .. 'seq', #fresh) - #fresh
local lanes = {}
for _, i in ipairs(fresh) do
    local token, priority, lane = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    seq = seq + 1
    redis.call('HSET', sub_key(token), 'state', QUEUED, 'priority', priority, 'lane', lane, 'seq', seq,
        'attempt', 0, 'lost', 0, 'created', now, 'queued', now)
    redis.call('SET', job_key(token), ARGV[i + 3])
    redis.call('ZADD', queue_key(priority, lane), seq, token)
    local entry = lanes[lane]
    if not entry then
        entry = { bells = {}, heads = {} }
        lanes[lane] = entry
    end
    entry.bells[#entry.bells + 1] = '1'
    entry.heads[priority] = entry.heads[priority] or seq
end
for lane, entry in pairs(lanes) do
    count(lane, #entry.bells, 0)
    for priority, first in pairs(entry.heads) do
        redis.call('ZADD', heads_key(priority), 'LT', first, lane)
    end
    for i = 1, #entry.bells, 1000 do
        redis.call('RPUSH', bell_key(lane), unpack(entry.bells, i, math.min(i + 999, #entry.bells)))
    end
end
return 'OK'
