"""huey: tasks, retries, pipelines and a schedule, one consumer on each node.

The consumer is huey's own: `python -m huey.bin.huey_consumer huey_work.huey`, with APP_NODE naming its node.
"""

import os

import journal
import redis
from giver import Given
from huey import RedisHuey
from huey.exceptions import TaskException

# How long a task of kind `later` waits, in seconds. It needs scripts: huey's schedule is read with one.
DELAY_S = 1


def on_node(port: int) -> RedisHuey:
    return RedisHuey("work", url=f"redis://127.0.0.1:{port}")


huey = on_node(int(os.environ.get("APP_NODE", "0")))


@huey.task(retries=3)
def square(job: str, number: int, failures: int = 0) -> int:
    if len(journal.times("failed", job)) < failures:
        journal.note("failed", job)
        raise ValueError("as told")
    journal.note("done", job)
    return number * number


@huey.task(retries=3)
def add_one(number: int, job: str) -> int:
    journal.note("done", job)
    return number + 1


@huey.task()
def meet(barrier: str, workers: int) -> None:
    journal.meet(barrier, workers)
    journal.note("met", barrier)


class Work:
    """What `Giver` asks of huey."""

    queue_key = "huey.redis.work"
    later_keys = ("huey.schedule.work",)
    least_wait_s = {"later": DELAY_S}
    refuses = (redis.RedisError,)

    def __init__(self, ports: list[int]) -> None:
        # Tasks belong to one instance, so that takes turns at the nodes.
        self.storages = {port: on_node(port).storage for port in ports}

    def through(self, port: int) -> RedisHuey:
        huey.storage = self.storages[port]
        return huey

    def give(self, port: int, job: Given) -> None:
        if job.kind == "pipeline":
            task = square.s(f"{job.id}-first", job.number, id=f"{job.id}-first")
            task.then(add_one.s(job=job.id, id=job.id))
        elif job.kind == "later":
            task = square.s(job.id, job.number, id=job.id, delay=DELAY_S)
        else:
            task = square.s(job.id, job.number, 1 if job.kind == "retry" else 0, id=job.id)
        self.through(port).enqueue(task)

    def meet(self, port: int, barrier: str, workers: int) -> None:
        self.through(port).enqueue(meet.s(barrier, workers))

    def result(self, port: int, job: Given) -> int | None:
        try:
            return self.through(port).result(job.id, preserve=True)
        except TaskException:
            # Of a run that failed: it stays if the retry is lost.
            return None

    def wanted(self, job: Given) -> int:
        return job.number**2 + (1 if job.kind == "pipeline" else 0)
