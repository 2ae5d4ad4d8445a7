#!lua flags=allow-oom
-- ARGV: token, budget of results, name of this call.  Returns 1 if this call ended the submission.
local token = ARGV[1]
local at = redis.call('HMGET', sub_key(token), 'state', 'priority', 'lane', 'by', 'seq', 'client', 'parked', 'bytes')
if not at[1] then return 0 end
local is_active = true
if at[1] == QUEUED then
    if at[6] then count_client_waiting(at[6], token, -1) end
    if at[7] == '1' then
        redis.call('ZREM', parked_key(at[6]), item(at[5], token))
        count_one('waiting', -1)
        count_one('p' .. at[2] .. ':' .. at[3], -1)
        is_active = false
    else
        leave_queue(token, at[2], at[3], at[5], at[6] or '')
        trim_wakeups(at[3], count(at[3], -1, 0))
    end
elseif at[1] == PROCESSING then
    count(at[3], 0, -1)
else
    return at[4] == ARGV[3] and 1 or 0
end
finish(token, FAILED, 'cancelled', 1, ARGV[3], ARGV[2], { client = at[6], bytes = at[8], is_active = is_active })
return 1
