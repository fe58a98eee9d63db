// What an application does with node-redis, against the port that is given.
'use strict';
const assert = require('assert');
const redis = require('redis');
const port = Number(process.argv[2]);

async function main() {
  const client = redis.createClient({ socket: { host: '127.0.0.1', port } });
  client.on('error', (error) => { console.error(error); process.exit(1); });
  await client.connect();
  await client.flushAll();
  assert.strictEqual(await client.set('text', 'häß'), 'OK');
  assert.strictEqual(await client.get('text'), 'häß');
  assert.strictEqual(await client.get('none'), null);
  assert.strictEqual(await client.set('text', '2', { NX: true }), null);
  assert.strictEqual(await client.set('passing', 'v', { EX: 100, GET: true }), null);
  assert.ok((await client.ttl('passing')) > 90);
  const bytes = Buffer.from([0, 255, 13, 10]);
  await client.set('bytes', bytes);
  const raw = await client.get(redis.commandOptions({ returnBuffers: true }), 'bytes');
  assert.ok(raw.equals(bytes));
  const big = 'x'.repeat(3 << 20);
  await client.set('big', big);
  assert.strictEqual(await client.get('big'), big);

  assert.strictEqual(await client.hSet('hash', { f: '1', g: '2' }), 2);
  assert.deepStrictEqual({ ...(await client.hGetAll('hash')) }, { f: '1', g: '2' });
  assert.strictEqual(await client.hIncrBy('hash', 'f', 4), 5);
  assert.strictEqual(await client.rPush('list', ['a', 'b', 'c']), 3);
  assert.deepStrictEqual(await client.lRange('list', 0, -1), ['a', 'b', 'c']);
  assert.deepStrictEqual(await client.lPopCount('list', 2), ['a', 'b']);
  assert.strictEqual(await client.sAdd('set', ['x', 'y', 'x']), 2);
  assert.deepStrictEqual((await client.sMembers('set')).sort(), ['x', 'y']);
  await client.zAdd('zset', [{ score: 1.5, value: 'one' }, { score: 2, value: 'two' }]);
  assert.deepStrictEqual(await client.zRangeWithScores('zset', 0, -1),
    [{ value: 'one', score: 1.5 }, { value: 'two', score: 2 }]);
  await client.geoAdd('geo', { longitude: 13.4, latitude: 52.5, member: 'Berlin' });
  assert.strictEqual((await client.geoPos('geo', ['Berlin', 'none']))[1], null);
  await client.pfAdd('sketch', ['a', 'b']);
  assert.strictEqual(await client.pfCount('sketch'), 2);

  const id = await client.xAdd('stream', '*', { field: 'value' });
  await client.xGroupCreate('stream', 'group', '0');
  const read = await client.xReadGroup('group', 'me', [{ key: 'stream', id: '>' }]);
  assert.strictEqual(read[0].messages[0].id, id);
  assert.strictEqual(await client.xAck('stream', 'group', id), 1);

  // One pipeline of many, in order.
  const counts = await Promise.all(Array.from({ length: 500 }, () => client.incr('counter')));
  assert.deepStrictEqual(counts, Array.from({ length: 500 }, (_, at) => at + 1));
  const keys = [];
  for await (const key of client.scanIterator({ MATCH: 'h*' })) keys.push(key);
  assert.deepStrictEqual(keys, ['hash']);
  await assert.rejects(client.lPush('hash', 'x'), /WRONGTYPE/);
  await assert.rejects(client.sendCommand(['NOSUCH']), /unknown command/);
  assert.ok((await client.info('server')).includes('redis_version'));
  const other = client.duplicate();
  await other.connect();
  await other.select(3);
  assert.strictEqual(await other.get('text'), null);
  await other.quit();
  await client.flushAll();
  await client.quit();
}

main().then(() => console.log('done'), (error) => { console.error(error); process.exit(1); });
