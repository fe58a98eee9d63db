"""The seed program and its variations, against each port given on the command line.

Fails with a traceback at the first thing that differs from what redis-server does.
"""

import asyncio
import sys

import redis
import redis.asyncio


def seed(port: int, db: int) -> None:
    r = redis.StrictRedis(host="localhost", port=port, db=db)
    assert r.set("key", "value") is True
    assert r.get("key") == b"value"
    assert r.delete("key") == 1
    assert r.get("key") is None
    r.close()


def resp3(port: int) -> None:
    r = redis.Redis(host="localhost", port=port, protocol=3, decode_responses=True, client_name="seed")
    assert r.ping() is True
    assert r.client_getname() == "seed"
    assert r.set("three", "3", ex=100) is True
    assert 0 < r.ttl("three") <= 100
    assert r.incr("three") == 4
    assert r.getdel("three") == "4"
    assert r.info("server")["redis_version"].startswith("7.2")
    r.close()


def pipeline(port: int) -> None:
    r = redis.Redis(host="localhost", port=port)
    pipe = r.pipeline(transaction=False)
    for number in range(100):
        pipe.set(f"pipe:{number}", number)
        pipe.get(f"pipe:{number}")
    answers = pipe.execute()
    assert answers[0::2] == [True] * 100
    assert answers[1::2] == [str(number).encode() for number in range(100)]
    assert r.delete(*[f"pipe:{number}" for number in range(100)]) == 100
    r.close()


async def seed_async(port: int, db: int) -> None:
    r = redis.asyncio.StrictRedis(host="localhost", port=port, db=db)
    assert await r.set("akey", "value") is True
    assert await r.get("akey") == b"value"
    assert await r.delete("akey") == 1
    await r.aclose()


def read_elsewhere(ports: list[int]) -> None:
    """What one replica acknowledged, every other one shows at once."""
    clients = [redis.Redis(host="localhost", port=port) for port in ports]
    for turn in range(30):
        clients[turn % len(ports)].set("turn", turn)
        for client in clients:
            assert client.get("turn") == str(turn).encode(), (turn, client)
    for client in clients:
        client.close()


def main() -> None:
    ports = [int(port) for port in sys.argv[1:]]
    assert ports, "name at least one port"
    for port in ports:
        for db in (0, 3):
            seed(port, db)
            asyncio.run(seed_async(port, db))
        resp3(port)
        pipeline(port)
    read_elsewhere(ports)
    print(f"redis-py {redis.__version__}: {len(ports)} ports")


if __name__ == "__main__":
    main()
