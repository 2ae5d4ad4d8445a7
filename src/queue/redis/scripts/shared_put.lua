#!lua
-- ARGV: key, bytes, maximum of all entries together in bytes.  Evicts the least recently used entries.  Returns 1 if the
-- key was new.
local bytes, most = #ARGV[2], tonumber(ARGV[3])
local index, total = p .. 'shared', p .. 'shared_bytes'
if bytes > most or redis.call('EXISTS', p .. 'shared:' .. ARGV[1]) == 1 then return 0 end
local sum = tonumber(redis.call('GET', total) or '0') + bytes
while sum > most do
    local oldest = redis.call('ZPOPMIN', index)[1]
    if not oldest then -- the sum was wrong: start anew
        sum = bytes
        break
    end
    sum = sum - redis.call('STRLEN', p .. 'shared:' .. oldest)
    redis.call('DEL', p .. 'shared:' .. oldest)
end
redis.call('SET', p .. 'shared:' .. ARGV[1], ARGV[2])
redis.call('ZADD', index, now_ms(), ARGV[1])
redis.call('SET', total, sum)
return 1
