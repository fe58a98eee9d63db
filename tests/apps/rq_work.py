"""RQ: jobs, retries, results and the scheduler, one worker on each node.

The worker is RQ's own: `python -m rq.cli worker --url redis://127.0.0.1:PORT work`; it forks for each job.
"""

from datetime import timedelta

import journal
import redis
from giver import Given
from rq import Queue, Retry, get_current_job
from rq.job import Job

# How long a job of kind `later` waits, in seconds. It needs scripts: RQ's scheduler holds its lock with one.
DELAY_S = 2


def square(job: str, number: int, failures: int = 0) -> int:
    if len(journal.times("failed", job)) < failures:
        journal.note("failed", job)
        raise ValueError("as told")
    journal.note("done", job)
    return number * number


def add_one(first: str, job: str) -> int:
    journal.note("done", job)
    return Job.fetch(first, connection=get_current_job().connection).return_value() + 1


def meet(barrier: str, workers: int) -> None:
    journal.meet(barrier, workers)
    journal.note("met", barrier)


class Work:
    """What `Giver` asks of RQ."""

    queue_key = "rq:queue:work"
    later_keys = ("rq:scheduled:work",)
    # RQ drops what is below a second.
    least_wait_s = {"later": DELAY_S - 1}
    refuses = (redis.RedisError,)

    def __init__(self, ports: list[int]) -> None:
        self.queues = {port: Queue("work", connection=redis.Redis(port=port)) for port in ports}

    def give(self, port: int, job: Given) -> None:
        queue, retry = self.queues[port], Retry(max=3)
        if job.kind == "depends":
            first = queue.enqueue(square, f"{job.id}-first", job.number, job_id=f"{job.id}-first", retry=retry)
            queue.enqueue(add_one, first.id, job.id, job_id=job.id, depends_on=first, retry=retry)
        elif job.kind == "later":
            queue.enqueue_in(timedelta(seconds=DELAY_S), square, job.id, job.number, job_id=job.id, retry=retry)
        else:
            failures = 1 if job.kind == "retry" else 0
            queue.enqueue(square, job.id, job.number, failures, job_id=job.id, retry=retry)

    def meet(self, port: int, barrier: str, workers: int) -> None:
        self.queues[port].enqueue(meet, barrier, workers)

    def result(self, port: int, job: Given) -> int | None:
        found = Job.fetch(job.id, connection=self.queues[port].connection)
        return found.return_value()

    def wanted(self, job: Given) -> int:
        return job.number**2 + (1 if job.kind == "depends" else 0)
