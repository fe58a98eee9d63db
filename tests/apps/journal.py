"""What jobs leave behind: one line a run in a file that no server keeps.

Workers of all nodes append to it, the giver reads it, and so a run is counted whatever became of its result.
"""

import os
import time

PATH = os.environ["APP_JOURNAL"]

# Against hanging, never a measure of speed.
PATIENCE_S = 90


def note(what: str, job: str) -> None:
    """Appends one line; lines of several processes do not mix."""
    with open(PATH, "ab", buffering=0) as file:
        file.write(f"{what} {job} {time.time()}\n".encode())


def times(what: str, job: str) -> list[float]:
    """When that was noted, first to last."""
    found = []
    with open(PATH) as file:
        for line in file:
            noted, name, when = line.split()
            if (noted, name) == (what, job):
                found.append(float(when))
    return found


def until(what: str, condition):
    """Polls until the condition gives something that is true; fails after PATIENCE_S."""
    start = time.monotonic()
    while not (found := condition()):
        assert time.monotonic() - start < PATIENCE_S, f"gave up waiting: {what}"
        time.sleep(0.02)
    return found


def meet(barrier: str, workers: int) -> None:
    """Holds its worker until all workers have come: nothing given before is still in anybody's hands."""
    note("meet", barrier)
    until(f"all workers come to {barrier}", lambda: len(times("meet", barrier)) >= workers)
