#!lua flags=allow-oom
-- ARGV: worker, slots, busy slots in thousandths, running, lease_ms, queues (,QUEUE,QUEUE,), then token and attempt of each lease.  Returns KEPT,
-- LOST or CANCELLED for each; redis/calls.c knows the numbers.
local KEPT, LOST, CANCELLED = 0, 1, 2
local now = now_ms()
count_slots(ARGV[1], ARGV[2], ARGV[3])
redis.call('HSET', SLOTS, ARGV[1], ARGV[2] .. ' ' .. ARGV[4] .. ' ' .. ARGV[3] .. ' 1')
redis.call('ZADD', WORKERS, now, ARGV[1])

-- When each queue was last served.
local served = {}
for queue in string.gmatch(ARGV[6], '[^,]+') do
    served[#served + 1] = now
    served[#served + 1] = queue
end
if #served > 0 then redis.call('ZADD', SERVED, unpack(served)) end

local answers = {}
for i = 7, #ARGV, 2 do
    local at = redis.call('HMGET', sub_key(ARGV[i]), 'state', 'attempt', 'cancelled', 'worker')
    local answer = LOST
    if at[2] == ARGV[i + 1] then
        if at[1] == PROCESSING and at[4] ~= '' then -- not returned meanwhile
            redis.call('ZADD', LEASES, 'XX', now + ARGV[5], ARGV[i])
            answer = KEPT
        elseif at[3] == '1' then
            answer = CANCELLED
        end
    end
    answers[#answers + 1] = answer
end
return answers
