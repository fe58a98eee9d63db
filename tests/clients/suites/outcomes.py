"""A plugin for pytest that runs a suite as it is against a node, for `cargo xtask suites`.

It writes what became of each test, one line each, to the file that QUORATE_OUTCOMES names: passed,
skipped or failed, the test, and why. A connection to the port where the suite believes Redis to
be, QUORATE_FIXED_PORT, goes to QUORATE_PORT. The server seems to be of the version QUORATE_CLAIM:
much of what came behind the version that it tells is there, and is tested too. After a test that
failed, the password that it may have left is taken back, since all that follow would fail too.
"""

import os
import socket
import tracemalloc

import pytest
import redis

RANK = {"passed": 0, "skipped": 1, "failed": 2}

PORT = int(os.environ["QUORATE_PORT"])
FIXED_PORT = int(os.environ["QUORATE_FIXED_PORT"])

# redis-py's suite traces each allocation, which doubles its time and is asked by no test.
tracemalloc.start = lambda *_: None

original_connect = socket.socket.connect


def connect(self, address):
    if isinstance(address, tuple) and address[1] == FIXED_PORT:
        address = (address[0], PORT, *address[2:])
    return original_connect(self, address)


socket.socket.connect = connect

original_info = redis.Redis.info


def info(self, *args, **kwargs):
    told = original_info(self, *args, **kwargs)
    if "redis_version" in told:
        told["redis_version"] = os.environ["QUORATE_CLAIM"]
    return told


redis.Redis.info = info

# redis-py keeps copies of keys only for a server that calls itself 7.4; 7.2 has all that it needs.
redis.connection.CacheProxyConnection.MIN_ALLOWED_VERSION = "7.2.0"

outcomes = open(os.environ["QUORATE_OUTCOMES"], "w", encoding="utf-8")
worst = {}


class Restorer:
    """A connection from before the test: it stays when the test sets a password."""

    def __init__(self):
        self.connect()

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", PORT))

    def restore(self):
        answer = self.ask()
        if not answer:
            # The test has killed its server's clients.
            self.connect()
            answer = self.ask()
        if answer != b"+OK\r\n":
            raise RuntimeError(f"CONFIG SET requirepass: {answer!r}")

    def ask(self):
        command = b"*4\r\n$6\r\nCONFIG\r\n$3\r\nSET\r\n$11\r\nrequirepass\r\n$0\r\n\r\n"
        try:
            self.socket.sendall(command)
            return self.socket.recv(4096)
        except ConnectionError:
            return b""


restorer = Restorer()


def write(outcome, test, why):
    line = "\t".join((outcome, test, " ".join(why.split())[:300]))
    outcomes.write(line + "\n")
    outcomes.flush()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    raised = call.excinfo
    report.why = f"{raised.type.__name__}: {raised.value}" if raised else ""
    return report


def pytest_runtest_logreport(report):
    """Notes the worst of a test's three steps, and writes it behind the last."""
    found = (report.outcome, report.why)
    before = worst.get(report.nodeid, found)
    worst[report.nodeid] = max(before, found, key=lambda it: RANK[it[0]])
    if report.when == "teardown":
        outcome, why = worst.pop(report.nodeid)
        write(outcome, report.nodeid, why)
        if outcome == "failed":
            restorer.restore()


def pytest_collectreport(report):
    if report.failed:
        write("failed", report.nodeid, str(report.longrepr).strip().splitlines()[-1])
