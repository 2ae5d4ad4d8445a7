#!lua flags=no-writes
-- ARGV: the largest result to return, tokens.  Returns for each token: state, cancelled, attempt, queue, created, started,
-- finished, and the result or its size; or nil.
local views = {}
local most = tonumber(ARGV[1])
for i = 1, #ARGV - 1 do
    local token = ARGV[i + 1]
    local at = redis.call('HMGET', sub_key(token), 'state', 'cancelled', 'attempt', 'lane', 'created', 'started',
        'finished')
    local result = false
    if at[1] == COMPLETED or at[1] == FAILED then
        local bytes = redis.call('STRLEN', out_key(token))
        if bytes > most then
            result = bytes
        else
            result = redis.call('GET', out_key(token))
        end
        if not result then at[1] = false end -- both keys expire in the same millisecond, but not at once
    end
    if at[1] then
        views[i] = { tonumber(at[1]), tonumber(at[2]) or 0, tonumber(at[3]), at[4], tonumber(at[5]),
            tonumber(at[6]) or 0, tonumber(at[7]) or 0, result or '' }
    else
        views[i] = false
    end
end
return views
