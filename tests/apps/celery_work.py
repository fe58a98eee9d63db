"""Celery: chords, retries and countdowns, with results, one worker on each node.

The worker is Celery's own: `python -m celery -A celery_work worker`, with APP_NODE naming its node, and the list of all
nodes behind it for when that one is gone.
"""

import os

import celery
import journal
import redis
from giver import Given
from kombu.exceptions import KombuError

# How long a job of kind `countdown` waits, in seconds.
DELAY_S = 1


def on_node(port: int, others: list[int]) -> celery.Celery:
    made = celery.Celery("celery_work")
    made.conf.update(
        # The next of the list is taken when one is gone.
        broker_url=";".join(f"redis://127.0.0.1:{node}/0" for node in [port, *others]),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A refusal (`UNCERTAIN`, `CLUSTERDOWN`) makes a worker connect again and not end.
        broker_channel_error_retry=True,
        # Results have one URL: that of the own node, or of a balancer before all.
        result_backend=f"redis://127.0.0.1:{port}/1",
        result_backend_transport_options={"retry_policy": {"max_retries": 3}},
        # What a worker has taken and not finished comes to another one after ten seconds.
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        broker_transport_options={
            "visibility_timeout": 10,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
        },
    )
    return made


def nodes() -> tuple[int, list[int]]:
    own = int(os.environ.get("APP_NODE", "0"))
    others = [int(port) for port in os.environ.get("APP_NODES", "").split(",") if port]
    return own, [port for port in others if port != own]


app = on_node(*nodes())


@app.task(name="square", autoretry_for=(ValueError,), max_retries=3, default_retry_delay=1)
def square(job: str, number: int, failures: int = 0) -> int:
    if len(journal.times("failed", job)) < failures:
        journal.note("failed", job)
        raise ValueError("as told")
    journal.note("done", job)
    return number * number


@app.task(name="total")
def total(parts: list[int], job: str) -> int:
    journal.note("done", job)
    return sum(parts)


@app.task(name="meet")
def meet(barrier: str, workers: int) -> None:
    journal.meet(barrier, workers)
    journal.note("met", barrier)


class Work:
    """What `Giver` asks of Celery."""

    queue_key = "celery"
    # What is in a worker's hands, and what has a countdown or waits for its retry there.
    later_keys = ("unacked_index",)
    least_wait_s = {"countdown": DELAY_S}
    refuses = (KombuError, redis.RedisError, OSError, RuntimeError)

    def __init__(self, ports: list[int]) -> None:
        self.apps = {port: on_node(port, []) for port in ports}

    def through(self, port: int, action):
        try:
            return action(self.apps[port])
        except RuntimeError:
            # "The Celery application must be restarted": its subscription to results is gone.
            self.apps[port] = on_node(port, [])
            raise

    def give(self, port: int, job: Given) -> None:
        def action(app: celery.Celery) -> None:
            def square_of(name: str, failures: int = 0) -> celery.Signature:
                return app.signature("square", args=(name, job.number, failures))

            if job.kind == "chord":
                parts = [square_of(f"{job.id}-part{part}") for part in range(3)]
                celery.chord(parts, app=app)(app.signature("total", args=(job.id,)).set(task_id=job.id))
            elif job.kind == "countdown":
                square_of(job.id).apply_async(task_id=job.id, countdown=DELAY_S)
            else:
                square_of(job.id, 1 if job.kind == "retry" else 0).apply_async(task_id=job.id)

        self.through(port, action)

    def meet(self, port: int, barrier: str, workers: int) -> None:
        self.through(port, lambda app: app.send_task("meet", args=(barrier, workers)))

    def result(self, port: int, job: Given) -> int | None:
        found = self.through(port, lambda app: app.AsyncResult(job.id))
        return found.result if found.state == "SUCCESS" else None

    def wanted(self, job: Given) -> int:
        return job.number**2 * (3 if job.kind == "chord" else 1)
