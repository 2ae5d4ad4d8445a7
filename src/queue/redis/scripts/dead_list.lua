#!lua flags=no-writes
-- ARGV: before_ms, before_token, max.  Returns token, queue, priority, attempt, created, died, reason, client for each.
local before, from, left = tonumber(ARGV[1]), 0, tonumber(ARGV[3])
local list = {}
while left > 0 do
    local tokens = redis.call('ZRANGE', DEAD, before > 0 and ARGV[1] or '+inf', '-inf', 'BYSCORE', 'REV',
        'LIMIT', from, 100)
    for _, token in ipairs(tokens) do
        local at = redis.call('HMGET', dead_key(token), 'lane', 'priority', 'attempt', 'created', 'died', 'reason',
            'client')
        -- One without a hash has expired; the next reaping removes it from the list.
        if left > 0 and at[1] and (before == 0 or tonumber(at[5]) < before or token < ARGV[2]) then
            list[#list + 1] = { token, at[1], tonumber(at[2]), tonumber(at[3]), tonumber(at[4]), tonumber(at[5]), at[6],
                at[7] or '' }
            left = left - 1
        end
    end
    if #tokens < 100 then break end
    from = from + 100
end
return list
