#!lua flags=allow-oom
-- ARGV: token, attempt, state, result, budget of results, name of this call.  Returns 1 if a call of this name ended the
-- submission: this one, or an earlier one whose answer was lost.
local token = ARGV[1]
local at = redis.call('HMGET', sub_key(token), 'state', 'attempt', 'lane', 'by', 'client', 'created',
    'started', 'bytes')
if at[2] ~= ARGV[2] then return 0 end
if at[1] ~= PROCESSING then return at[4] == ARGV[6] and 1 or 0 end
count(at[3], 0, -1)
local now = now_ms()
-- A small result is published with the finish, so that the API server that waits for it need not read it.  It comes
-- before the event, which would make the server read it.
if ARGV[3] == COMPLETED and #ARGV[4] <= 4096 then
    redis.call('PUBLISH', p .. 'ends',
        table.concat({ token, at[2], at[3], at[6], at[7], string.format('%.0f', now), ARGV[4] }, ' '))
end
finish(token, ARGV[3], ARGV[4], 0, ARGV[6], ARGV[5], { client = at[5], bytes = at[8], is_active = true }, now)
return 1
