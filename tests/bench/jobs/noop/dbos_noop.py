"""DBOS on Postgres: a queue of workflows, as its first pages show it. `BENCH_DATABASE` names the database.

python dbos_noop.py schema, fill N, or work sync|async POLLING_SECONDS MOST_AT_ONCE (0: no limit)
"""

import os
import signal
import sys
import threading

import sqlalchemy
from dbos import DBOS, DBOSClient, DBOSConfig

QUEUE, VERSION = "noop", "1"
URL = os.environ["BENCH_DATABASE"]
config: DBOSConfig = {
    "name": "noop",
    "system_database_url": URL,
    "application_version": VERSION,
    "log_level": "WARNING",
}
DBOS(config=config)


def noop(number: int) -> int:
    """Give back what was given."""
    return number


async def noop_async(number: int) -> int:
    """Give back what was given."""
    return number


def fill(number: int) -> None:
    """Enqueue so many."""
    client = DBOSClient(system_database_url=URL)
    engine = sqlalchemy.create_engine(URL.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        for each in range(number):
            options = {"queue_name": QUEUE, "workflow_name": "noop", "app_version": VERSION}
            client.enqueue_in_transaction(connection, options, each)
    client.destroy()


def work(kind: str, polling_seconds: float, most: int) -> None:
    """Work until SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    DBOS.workflow(name="noop")(noop if kind == "sync" else noop_async)
    DBOS.launch()
    DBOS.register_queue(QUEUE, polling_interval_sec=polling_seconds, worker_concurrency=most or None)
    ended.wait()
    DBOS.destroy()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["schema"]:
            DBOS.launch()
            DBOS.register_queue(QUEUE)
            DBOS.destroy()
        case ["fill", number]:
            fill(int(number))
        case ["work", kind, seconds, most]:
            work(kind, float(seconds), int(most))
