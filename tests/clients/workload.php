<?php
// What an application does with php-redis, against the port that is given.
declare(strict_types=1);

function same(mixed $got, mixed $want): void
{
    if ($got !== $want) {
        $said = (new Exception())->getTraceAsString();
        fwrite(STDERR, "got " . var_export($got, true) . ", expected " . var_export($want, true) . "\n$said\n");
        exit(1);
    }
}

$port = (int) $argv[1];
$redis = new Redis();
same($redis->connect('127.0.0.1', $port, 5.0), true);
$redis->flushAll();
same($redis->set('text', "\x00\xff\r\n"), true);
same($redis->get('text'), "\x00\xff\r\n");
same($redis->get('none'), false);
same($redis->set('text', 'other', ['nx', 'ex' => 10]), false);
same($redis->set('lock', 'me', ['nx', 'px' => 100000]), true);
same($redis->pttl('lock') > 90000, true);
same($redis->mSet(['a' => '1', 'b' => '2']), true);
same($redis->mGet(['a', 'none', 'b']), ['1', false, '2']);
same($redis->incrByFloat('float', 1.5), 1.5);

same($redis->hMSet('hash', ['f' => '1', 'g' => '2']), true);
same($redis->hGetAll('hash'), ['f' => '1', 'g' => '2']);
same($redis->rPush('list', 'a', 'b'), 2);
same($redis->lRange('list', 0, -1), ['a', 'b']);
same($redis->sAdd('set', 'x', 'y', 'x'), 2);
same($redis->sIsMember('set', 'x'), true);
same($redis->zAdd('zset', 1.5, 'one', 2, 'two'), 2);
same($redis->zRange('zset', 0, -1, true), ['one' => 1.5, 'two' => 2.0]);
$id = $redis->xAdd('stream', '*', ['field' => 'value']);
same($redis->xRange('stream', '-', '+'), [$id => ['field' => 'value']]);
same($redis->type('zset'), Redis::REDIS_ZSET);

$pipe = $redis->multi(Redis::PIPELINE);
for ($at = 0; $at < 500; $at++) {
    $pipe->incr('counter');
}
same($pipe->exec(), range(1, 500));
$redis->setOption(Redis::OPT_SCAN, (string) Redis::SCAN_RETRY);
$cursor = null;
$found = [];
while (($keys = $redis->scan($cursor, 'h*')) !== false) {
    $found = array_merge($found, $keys);
}
same($found, ['hash']);
same($redis->lPush('hash', 'x'), false);
same(str_starts_with((string) $redis->getLastError(), 'WRONGTYPE'), true);

// A connection that another one kills is gone at once, and comes back by itself.
$other = new Redis();
$other->connect('127.0.0.1', $port, 5.0);
same($redis->rawCommand('CLIENT', 'KILL', 'ID', (string) $other->rawCommand('CLIENT', 'ID')), 1);
same($other->ping(), true);
same($redis->select(3), true);
same($redis->exists('a'), 0);
same($redis->flushAll(), true);
echo "done\n";
