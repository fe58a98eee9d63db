"""redis-py's publish and subscribe: a publisher and a subscriber on each node, everybody hears everybody.

`pubsub_work.py PORT PORT PORT` publishes until standard input ends; then it checks what came. Within one connection of
the publisher and one of the subscriber, no message may be missing, come twice or out of order, whatever happened to
other nodes. What a connection that ended has lost is counted: messages are not kept.
"""

import sys
import threading

import journal
import redis

CHANNEL = "news"

# Between two messages of a publisher, in seconds: a load that two cores carry beside an election.
PACE_S = 0.01


class Publisher(threading.Thread):
    """Publishes `port connection number`; a number is never published twice, so that a failure loses it."""

    def __init__(self, port: int, told: threading.Event) -> None:
        super().__init__()
        self.port, self.told = port, told
        self.connection, self.number = 0, 0

    def run(self) -> None:
        with redis.Redis(port=self.port, retry=None, socket_timeout=10) as client:
            while not self.told.wait(PACE_S):
                self.publish(client)

    def publish(self, client: redis.Redis) -> None:
        try:
            client.publish(CHANNEL, f"{self.port} {self.connection} {self.number}")
            self.number += 1
        except redis.ConnectionError:
            self.connection, self.number = self.connection + 1, 0


class Subscriber(threading.Thread):
    """Hears what all publishers say, subscribing again when its connection ends."""

    def __init__(self, port: int, told: threading.Event) -> None:
        super().__init__()
        self.port, self.told = port, told
        self.heard: list[dict[tuple[int, int], list[int]]] = []

    def run(self) -> None:
        while not self.told.is_set():
            try:
                self.listen()
            except redis.ConnectionError:
                self.told.wait(PACE_S)

    def listen(self) -> None:
        client = redis.Redis(port=self.port, retry=None, decode_responses=True)
        with client, client.pubsub() as subscription:
            subscription.subscribe(CHANNEL)
            while not self.told.is_set():
                message = subscription.get_message(timeout=0.1)
                if message is None:
                    continue
                if message["type"] == "subscribe":
                    self.heard.append({})
                    continue
                publisher, connection, number = map(int, message["data"].split())
                self.heard[-1].setdefault((publisher, connection), []).append(number)
                journal.note(f"{self.port}", f"{publisher}")


def check(subscriber: Subscriber) -> int:
    """How many messages came in all; each run of them has no gap."""
    count = 0
    for life in subscriber.heard:
        for (publisher, connection), numbers in life.items():
            run = list(range(numbers[0], numbers[0] + len(numbers)))
            first = next((at for at, (one, other) in enumerate(zip(numbers, run)) if one != other), None)
            assert first is None, (subscriber.port, publisher, connection, numbers[max(first - 2, 0) : first + 3])
            count += len(numbers)
    return count


def main() -> None:
    ports = [int(port) for port in sys.argv[1:]]
    silent, deaf = threading.Event(), threading.Event()
    subscribers = [Subscriber(port, deaf) for port in ports]
    publishers = [Publisher(port, silent) for port in ports]
    for subscriber in subscribers:
        subscriber.start()
    journal.until("all have subscribed", lambda: all(subscriber.heard for subscriber in subscribers))
    for publisher in publishers:
        publisher.start()
    sys.stdin.read()
    silent.set()
    for publisher in publishers:
        publisher.join()

    def heard_all() -> bool:
        last = {(publisher.port, publisher.connection): publisher.number - 1 for publisher in publishers}
        lives = [subscriber.heard[-1] for subscriber in subscribers]
        return all(number < 0 or life.get(who, [-1])[-1] == number for life in lives for who, number in last.items())

    journal.until("the last message is heard everywhere", heard_all)
    deaf.set()
    for subscriber in subscribers:
        subscriber.join()
    counts = [check(subscriber) for subscriber in subscribers]
    lives = [len(subscriber.heard) for subscriber in subscribers]
    print(f"messages heard on each node {counts}, in so many connections {lives}")


if __name__ == "__main__":
    main()
