"""The others, set up as their first pages show, with what makes one worker process of theirs the fastest here."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import redis

from tests.bench.database import Database
from tests.bench.jobs.contender import Look, Worker, clean
from tests.bench.machinery import Machinery

NOOP = Path(__file__).parent / "noop"
_KEYS_OF_WORK = ("celery", "unacked", "unacked_index", "unacked_mutex")
_KEYS_OF_RESULTS = "celery-task-meta-*"


class Celery(Worker):
    """Broker and results in Redis."""

    def __init__(self, name: str, machinery: Machinery, folder: Path, python: Path, *arguments: str) -> None:
        super().__init__(name, machinery, folder, other=True)
        self._url = machinery.servers.redis.url(1)
        self._redis = redis.Redis.from_url(self._url)
        self._command = [python, NOOP / "celery_noop.py"]
        self._arguments = arguments
        self._others = 0
        self._wanted = 0

    def empty(self) -> None:
        self._redis.flushdb()
        self._wanted = 0

    def start(self) -> None:
        self.run([*self._command, "work", *self._arguments], clean({"BENCH_REDIS": self._url}))

    def fill(self, jobs: int) -> None:
        # Beside results and work there are a few keys, which the worker's start has made.
        results = sum(1 for _ in self._redis.scan_iter(_KEYS_OF_RESULTS, count=10_000))
        self._others = self._size() - results
        self._wanted += jobs
        subprocess.run([*self._command, "fill", str(jobs)], env=clean({"BENCH_REDIS": self._url}), check=True)

    def left(self) -> bool:
        return self._size() - self._others < self._wanted

    def close(self) -> None:
        self._redis.close()

    def _size(self) -> int:
        pipeline = self._redis.pipeline()
        pipeline.dbsize()
        pipeline.exists(*_KEYS_OF_WORK)
        size, at_work = pipeline.execute()
        return int(size) - int(at_work)

    def recorded(self) -> tuple[int, ...]:
        return (sum(b'"status": "SUCCESS"' in result for result in self._results()),)

    def _results(self) -> Iterator[bytes]:
        keys = list(self._redis.scan_iter(_KEYS_OF_RESULTS, count=10_000))
        for result in self._redis.mget(keys) if keys else ():
            assert isinstance(result, bytes)
            yield result


class OnPostgres(Worker):
    """One with a database of its own on the Postgres of all."""

    script = ""
    unfinished = ""
    finished = ""
    tables: tuple[str, ...] = ()

    def __init__(self, name: str, machinery: Machinery, folder: Path, python: Path, *arguments: str) -> None:
        super().__init__(name, machinery, folder, other=True)
        self._database = Database(machinery.servers)
        self._command = [python, NOOP / self.script]
        self._arguments = arguments
        self._call("schema")
        self._look = Look(self._database.url)

    def _call(self, *arguments: str) -> None:
        environment = clean({"BENCH_DATABASE": self._database.url})
        subprocess.run([*self._command, *arguments], env=environment, check=True, stderr=subprocess.DEVNULL)

    def empty(self) -> None:
        self._look.run(f"TRUNCATE {', '.join(self.tables)} CASCADE")

    def start(self) -> None:
        self.run([*self._command, "work", *self._arguments], clean({"BENCH_DATABASE": self._database.url}))

    def fill(self, jobs: int) -> None:
        self._call("fill", str(jobs))
        self._look.run(*(f"ANALYZE {table}" for table in self.tables))

    def left(self) -> bool:
        return bool(self._look.row(f"SELECT EXISTS ({self.unfinished})")[0])

    def recorded(self) -> tuple[int, ...]:
        return self._look.row(self.finished)

    def close(self) -> None:
        self._look.close()


class Procrastinate(OnPostgres):
    """A row a job, and one an event of it."""

    script = "procrastinate_noop.py"
    tables = ("procrastinate_jobs", "procrastinate_events")
    unfinished = "SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
    finished = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"


class Dbos(OnPostgres):
    """A row a workflow."""

    script = "dbos_noop.py"
    tables = ("dbos.workflow_status",)
    unfinished = "SELECT FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING')"
    finished = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'"


def usual(machinery: Machinery, folder: Path, python: Path) -> list[Worker]:
    """Give each in the way that was the fastest of `all_ways`."""
    return [
        Celery("Celery", machinery, folder, python, "--pool", "threads", "--concurrency", "10"),
        Procrastinate("procrastinate", machinery, folder, python, "10"),
        Dbos("DBOS", machinery, folder, python, "sync", "1", "0"),
    ]


def all_ways(machinery: Machinery, folder: Path, python: Path) -> list[Worker]:
    """Give each in all the ways that were tried."""
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    return [
        Celery("Celery solo", machinery, folder, python, "--pool", "solo"),
        Celery("Celery solo quiet", machinery, folder, python, "--pool", "solo", *quiet),
        Celery("Celery prefork 1", machinery, folder, python, "--concurrency", "1"),
        Celery("Celery threads 1", machinery, folder, python, "--pool", "threads", "--concurrency", "1"),
        Celery("Celery threads 10", machinery, folder, python, "--pool", "threads", "--concurrency", "10"),
        *(Procrastinate(f"procrastinate {n}", machinery, folder, python, str(n)) for n in (1, 10, 30, 100)),
        Dbos("DBOS sync", machinery, folder, python, "sync", "1", "0"),
        Dbos("DBOS async", machinery, folder, python, "async", "1", "0"),
        Dbos("DBOS sync, 100 at once", machinery, folder, python, "sync", "0.05", "100"),
        Dbos("DBOS async, 100 at once", machinery, folder, python, "async", "0.05", "100"),
    ]
