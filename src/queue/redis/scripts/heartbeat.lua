#!lua flags=allow-oom
-- ARGV: worker, slots, thousandths of busy ones, running, lease_ms, then token, attempt for each lease.  Returns for
-- each 0 kept, 1 lost, 2 cancelled.
local now = now_ms()
count_slots(ARGV[1], ARGV[2], ARGV[3])
redis.call('HSET', SLOTS, ARGV[1], ARGV[2] .. ' ' .. ARGV[4] .. ' ' .. ARGV[3])
redis.call('ZADD', WORKERS, now, ARGV[1])

local answers = {}
for i = 6, #ARGV, 2 do
    local at = redis.call('HMGET', sub_key(ARGV[i]), 'state', 'attempt', 'cancelled')
    local answer = 1
    if at[2] == ARGV[i + 1] then
        if at[1] == PROCESSING then
            redis.call('ZADD', LEASES, 'XX', now + ARGV[5], ARGV[i])
            answer = 0
        elseif at[3] == '1' then
            answer = 2
        end
    end
    answers[#answers + 1] = answer
end
return answers
