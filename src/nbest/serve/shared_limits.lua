-- Limits of one key, counted for all replicas. Every script runs atomically, by the time of the Redis server.
-- KEYS: 1 hash of levels, 2 sorted set of requests under way by the end of their lease, 3 money spent today
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local DAYS_S = 3 * 86400

-- The level of a bucket that holds a minute's worth and is refilled evenly.
local function level(name, per_minute)
  local stored = redis.call('HMGET', KEYS[1], name, name .. '_at')
  if not stored[1] then
    return per_minute
  end
  local refill = (now - tonumber(stored[2])) * per_minute / 60
  return math.min(per_minute, tonumber(stored[1]) + math.max(0, refill))
end

local function set_level(name, value)
  redis.call('HSET', KEYS[1], name, tostring(value), name .. '_at', string.format('%.6f', now))
end

-- What is set aside for requests under way, of 'tokens' or 'money': a sum, and the part of each request.
local function reserved(kind)
  return math.max(0, tonumber(redis.call('HGET', KEYS[1], 'reserved_' .. kind) or '0'))
end

local function reserve(kind, id, amount)
  if amount > 0 then
    redis.call('HSET', KEYS[1], kind .. ':' .. id, tostring(amount), 'reserved_' .. kind, tostring(reserved(kind) + amount))
  end
end

-- Returns what was set aside.
local function release(kind, id)
  local amount = tonumber(redis.call('HGET', KEYS[1], kind .. ':' .. id) or '0')
  if amount > 0 then
    redis.call('HDEL', KEYS[1], kind .. ':' .. id)
    redis.call('HSET', KEYS[1], 'reserved_' .. kind, tostring(math.max(0, reserved(kind) - amount)))
  end
  return amount
end

local function spent_money()
  return tonumber(redis.call('GET', KEYS[3]) or '0')
end

-- Ends the leases of replicas that are gone.
local function prune()
  local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 100)
  for _, id in ipairs(gone) do
    redis.call('ZREM', KEYS[2], id)
    release('money', id)
    release('tokens', id)
  end
end

local command = ARGV[1]

if command == 'admit' then
  local id, lease_s = ARGV[2], tonumber(ARGV[3])
  local requests, tokens, concurrency, budget =
    tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
  local num_tokens, money = tonumber(ARGV[8]), tonumber(ARGV[9])
  prune()
  if concurrency and redis.call('ZCARD', KEYS[2]) >= concurrency then
    return {'concurrency', '1', tostring(spent_money())}
  end
  if requests then
    local left = level('requests', requests)
    if left < 1 then
      return {'requests', tostring((1 - left) * 60 / requests), tostring(spent_money())}
    end
  end
  if tokens then
    -- A request begins while any token is left: one may run into debt, several at once may not.
    local left = level('tokens', tokens) - reserved('tokens')
    if left < 1 then
      local debt = 1 - level('tokens', tokens)
      return {'tokens', tostring(math.max(1, debt * 60 / tokens)), tostring(spent_money())}
    end
  end
  if budget then
    local spent, aside = spent_money(), reserved('money')
    local is_first = aside <= 0 and spent < budget
    if spent + aside + money > budget and not is_first then
      return {'money', '0', tostring(spent)}
    end
  end

  if requests then
    set_level('requests', level('requests', requests) - 1)
  end
  if tokens then
    reserve('tokens', id, num_tokens)
  end
  reserve('money', id, money)
  redis.call('ZADD', KEYS[2], now + lease_s, id)
  redis.call('EXPIRE', KEYS[1], DAYS_S)
  redis.call('EXPIRE', KEYS[2], DAYS_S)
  return {'ok', '0', tostring(spent_money())}
end

if command == 'settle' then
  local id, is_leased, is_retry = ARGV[2], ARGV[3] == '1', ARGV[4] == '1'
  local tokens, num_spent, cost = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
  local had_lease = redis.call('ZREM', KEYS[2], id) == 1
  if is_retry and is_leased and not had_lease then
    return {'ok', '0', tostring(spent_money())} -- the first attempt came through, its reply did not
  end
  release('money', id)
  release('tokens', id)
  if tokens then
    set_level('tokens', level('tokens', tokens) - num_spent)
  end
  if cost > 0 then
    redis.call('INCRBYFLOAT', KEYS[3], ARGV[7])
    redis.call('EXPIRE', KEYS[3], DAYS_S)
  end
  redis.call('EXPIRE', KEYS[1], DAYS_S)
  return {'ok', '0', tostring(spent_money())}
end

-- renew: the leases of requests that are still under way
for i = 3, #ARGV do
  redis.call('ZADD', KEYS[2], 'XX', now + tonumber(ARGV[2]), ARGV[i])
end
return {'ok', '0', tostring(spent_money())}
