#!lua flags=no-writes
-- ARGV: lease_ms, max.  Returns name, slots, running, ms since its heartbeat for each.
local now = now_ms()
local list = {}
local found = redis.call('ZRANGE', WORKERS, now - ARGV[1], '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[2], 'WITHSCORES')
for i = 1, #found, 2 do
    local slots, running = string.match(redis.call('HGET', SLOTS, found[i]) or '0 0', '^(%d+) (%d+)')
    list[#list + 1] = { found[i], tonumber(slots), tonumber(running), math.max(now - found[i + 1], 0) }
end
return list
