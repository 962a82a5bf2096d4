"""procrastinate on Postgres, as its first pages show it. `BENCH_DATABASE` names the database.

python procrastinate_noop.py schema, fill N, or work CONCURRENCY
"""

import asyncio
import os
import sys

import procrastinate

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["BENCH_DATABASE"]))
ROWS_A_STATEMENT = 1_000


@app.task(name="noop")  # type: ignore[untyped-decorator]
async def noop(number: int) -> int:
    """Give back what was given."""
    return number


async def make_schema() -> None:
    """Make its tables."""
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


async def fill(number: int) -> None:
    """Enqueue so many."""
    async with app.open_async():
        for first in range(0, number, ROWS_A_STATEMENT):
            batch = range(first, min(first + ROWS_A_STATEMENT, number))
            await noop.batch_defer_async(*({"number": each} for each in batch))


async def work(concurrency: int) -> None:
    """Work until SIGTERM."""
    async with app.open_async():
        await app.run_worker_async(concurrency=concurrency)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["schema"]:
            asyncio.run(make_schema())
        case ["fill", number]:
            asyncio.run(fill(int(number)))
        case ["work", concurrency]:
            asyncio.run(work(int(concurrency)))
