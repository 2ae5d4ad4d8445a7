#!lua flags=no-writes
-- ARGV: lease_ms, max.  Returns name, slots, busy slots, running, ms since its heartbeat for each.
local now = now_ms()
local list = {}
local found = redis.call('ZRANGE', WORKERS, now - ARGV[1], '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[2], 'WITHSCORES')
for i = 1, #found, 2 do
    local slots, busy, running = parse_heartbeat(redis.call('HGET', SLOTS, found[i]))
    list[#list + 1] = { found[i], slots, busy, running, math.max(now - found[i + 1], 0) }
end
return list
