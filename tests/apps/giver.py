"""Gives jobs to an application through all nodes, until standard input ends; then sees that every one is done.

`giver.py MODULE KIND,KIND PORT PORT PORT`; the module has a class `Work`.

A node that refuses is passed over for the next one, with the same job and the same id: whether the refused one was taken
cannot be known, so a job may run twice. Queues of which a worker takes with BRPOP or BLMOVE may lose what was on its way to
a node that dies: once nothing is in anybody's hands, a job without result is given again.
"""

import importlib
import itertools
import sys
import threading
from typing import NamedTuple

import journal
import redis

# So many may wait in the queue: enough for every worker, few enough to be done soon.
WAITING_MAX = 12

# The longest chain of jobs that give one another, each behind what waits: a retry, or a next step.
CHAIN_MAX = 3

# Two kills, three workers: each may lose the job in its hands and one on its way to it, and no more.
LOST_MAX = 12


class Given(NamedTuple):
    """One job."""

    id: str
    kind: str
    number: int


class Giver:
    """Gives jobs of some kinds through some nodes to an application.

    The application has `give(node, job)`, `result(node, job)`, its `wanted` result, `meet(node, barrier, workers)`, the exceptions
    with which it `refuses`, the `queue_key` of its list, the `later_keys` of its sorted sets of what is not due, and how long
    a job of a kind waits at least (`least_wait_s`).
    """

    def __init__(self, app, ports: list[int], kinds: list[str]) -> None:
        self.app = app
        self.ports = ports
        self.kinds = kinds
        self.given: list[Given] = []
        self.refusals = 0

    def anywhere(self, first: int, action):
        """Does it through the first node that lets us, beginning with one of them."""
        turns = itertools.count(first)

        def attempt():
            try:
                return (action(self.ports[next(turns) % len(self.ports)]),)
            except self.app.refuses as why:
                print(f"refused: {why!r}", file=sys.stderr)
                self.refusals += 1
                return None

        return journal.until("a node takes it", attempt)[0]

    def ask(self, command: str, key: str) -> int:
        def action(port: int) -> int:
            with redis.Redis(host="127.0.0.1", port=port, retry=None, socket_timeout=10) as client:
                return client.execute_command(command, key)

        return self.anywhere(0, action)

    def give_one(self, job: Given) -> None:
        journal.note("given", job.id)
        self.anywhere(job.number, lambda port: self.app.give(port, job))

    def give_until_told(self) -> None:
        told = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), told.set()), daemon=True).start()
        for number in itertools.count():
            if told.is_set():
                return
            kind = self.kinds[number % len(self.kinds)]
            job = Given(f"{kind}-{number}", kind, number)
            self.given.append(job)
            self.give_one(job)
            journal.until("the queue is short", lambda: told.is_set() or self.is_short())

    def is_short(self) -> bool:
        return self.ask("LLEN", self.app.queue_key) < WAITING_MAX

    def settle(self, name: str) -> None:
        """Returns when no worker has anything in its hands."""
        workers = len(self.ports)
        for step in range(CHAIN_MAX):
            barrier = f"{name}-{step}"
            journal.until("nothing is later", lambda: all(self.ask("ZCARD", key) == 0 for key in self.app.later_keys))
            for number in range(workers):
                self.anywhere(number, lambda port: self.app.meet(port, barrier, workers))
            journal.until(barrier, lambda: len(journal.times("met", barrier)) >= workers)

    def undone(self) -> list[Given]:
        def has_result(job: Given) -> bool:
            found = self.anywhere(job.number, lambda port: self.app.result(port, job))
            assert found in (None, self.app.wanted(job)), (job, found)
            return found is not None

        return [job for job in self.given if not has_result(job)]

    def run(self) -> None:
        self.give_until_told()
        refusals = self.refusals
        self.settle("first")
        lost = self.undone()
        assert len(lost) <= LOST_MAX, f"lost: {lost}"
        for job in lost:
            self.give_one(job)
        self.settle("last")
        left = self.undone()
        assert not left, f"not done: {left}"
        for job in self.given:
            waited = journal.times("done", job.id)[0] - journal.times("given", job.id)[0]
            assert waited >= self.app.least_wait_s.get(job.kind, 0), (job, waited)
        again = [job.id for job in self.given if len(journal.times("done", job.id)) > 1]
        print(
            f"{len(self.given)} jobs done; {refusals} refusals, {len(lost)} given again {[job.id for job in lost]}, "
            f"{len(again)} ran more than once {again}"
        )


def main() -> None:
    module, kinds, *ports = sys.argv[1:]
    ports = [int(port) for port in ports]
    work = importlib.import_module(module).Work(ports)
    Giver(work, ports, kinds.split(",")).run()


if __name__ == "__main__":
    main()
