#!lua flags=allow-oom
-- ARGV: token, ttl_ms, name of this call.  Returns 1 if it was still to end and has ended by this.
local token = ARGV[1]
local at = redis.call('HMGET', sub_key(token), 'state', 'priority', 'lane', 'by')
if not at[1] then return 0 end
if at[1] == QUEUED then
    leave_queue(token, at[2], at[3])
    count(at[3], -1, 0)
    trim_bell(at[3])
elseif at[1] == PROCESSING then
    count(at[3], 0, -1)
else
    return at[4] == ARGV[3] and 1 or 0
end
finish(token, FAILED, 'cancelled', 1, ARGV[3], ARGV[2])
return 1
