"""Celery with Redis as broker and as result backend, as its first pages show it. `BENCH_REDIS` names both.

python celery_noop.py fill N, or celery_noop.py work [arguments of `celery worker`]
"""

import os
import sys

from celery import Celery

app = Celery("noop", broker=os.environ["BENCH_REDIS"], backend=os.environ["BENCH_REDIS"])


@app.task(name="noop")  # type: ignore[untyped-decorator]
def noop(number: int) -> int:
    """Give back what was given."""
    return number


def fill(number: int) -> None:
    """Enqueue so many."""
    with app.producer_pool.acquire() as producer:
        for each in range(number):
            noop.apply_async((each,), producer=producer)


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        fill(int(sys.argv[2]))
    else:
        app.worker_main(["worker", "--loglevel", "WARNING", *sys.argv[2:]])
