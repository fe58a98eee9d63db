# What an application does with redis-rb, against the port that is given.
require 'redis'

def same(got, want)
  raise "got #{got.inspect}, expected #{want.inspect}" unless got == want
end

redis = Redis.new(host: '127.0.0.1', port: ARGV[0].to_i, timeout: 5)
redis.flushall
same redis.set('text', "\x00\xFF\r\n".b), 'OK'
same redis.get('text').b, "\x00\xFF\r\n".b
same redis.get('none'), nil
same redis.set('text', 'other', nx: true), false
same redis.set('lock', 'me', nx: true, px: 100_000), true
same redis.pttl('lock') > 90_000, true
same redis.mapped_mset('a' => '1', 'b' => '2'), 'OK'
same redis.mget('a', 'none', 'b'), ['1', nil, '2']
same redis.incrbyfloat('float', 1.5), 1.5

same redis.hset('hash', 'f' => '1', 'g' => '2'), 2
same redis.hgetall('hash'), { 'f' => '1', 'g' => '2' }
same redis.rpush('list', %w[a b]), 2
same redis.lrange('list', 0, -1), %w[a b]
same redis.sadd('set', %w[x y x]), 2
same redis.sismember('set', 'x'), true
same redis.zadd('zset', [[1.5, 'one'], [Float::INFINITY, 'two']]), 2
same redis.zrange('zset', 0, -1, with_scores: true), [['one', 1.5], ['two', Float::INFINITY]]
same redis.geoadd('geo', 13.4, 52.5, 'Berlin'), 1
same redis.geopos('geo', %w[none]), [nil]
id = redis.xadd('stream', { 'field' => 'value' })
same redis.xrange('stream'), [[id, { 'field' => 'value' }]]
redis.xgroup(:create, 'stream', 'group', '0')
same redis.xreadgroup('group', 'me', 'stream', '>'), { 'stream' => [[id, { 'field' => 'value' }]] }
same redis.xack('stream', 'group', id), 1

same redis.pipelined { |pipe| 500.times { pipe.incr('counter') } }, (1..500).to_a
same redis.scan_each(match: 'h*').to_a, ['hash']
begin
  redis.lpush('hash', 'x')
  raise 'no error'
rescue Redis::CommandError => e
  same e.message.start_with?('WRONGTYPE'), true
end
same redis.info('server').key?('redis_version'), true
other = Redis.new(host: '127.0.0.1', port: ARGV[0].to_i, db: 3)
same other.get('text'), nil
other.close
redis.flushall
puts 'done'
