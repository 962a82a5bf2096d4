"""The real `opsconnect serve` as it is measured: without spans, with them, and on a database that is full."""

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.bench.database import Database
from tests.bench.load import NOTHING, SECRET, SOURCE
from tests.bench.machine import application_core
from tests.bench.sink import Sink
from tests.bench.variants import Counted, Variant
from tests.conftest import Servers
from tests.e2e.api import Api

OFF, ON, SDK = "tracing off", "tracing on", "SDK spans"
SPANS_A_REQUEST = 4
"""The server's and three children; the batch's span comes once a flush."""

WATCHES_NO_REPLAYS = {"OPSCONNECT_REPLAY_WATCH": "off"}
"""All bodies of the load are the same, since wrk cannot sign, and each would be marked as the replay of the first."""


class OpsConnect(Variant):
    """One serving process on a database of its own."""

    def __init__(
        self,
        name: str,
        servers: Servers,
        folder: Path,
        sink: Sink | None = None,
        more: Mapping[str, str] = NOTHING,
    ) -> None:
        """Spans go to the sink; without one there are none."""
        self.name = name
        self.database = Database(servers)
        self._sink = sink
        self._word = name.replace(" ", "-")
        spans = {
            "OTEL_SDK_DISABLED": "false",
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint(self._word) if sink else "",
            "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS": ".*",  # our own questions must not be counted
        }
        self._api = Api(
            self.database.url,
            servers.redis.url(),
            folder / f"{self._word}.log",
            more={"BENCH_SECRET": SECRET, **WATCHES_NO_REPLAYS, **(spans if sink else {}), **more},
        )
        self.port = self._api.port
        self._api.apply(SOURCE)
        try:
            with application_core():
                self._api.start()
        except BaseException:
            self._api.stop(signal.SIGKILL)
            raise
        assert self._api.process is not None
        self.pid = self._api.process.pid

    def empty(self) -> None:
        """Truncate the tables, checkpoint, and begin a new log."""
        self.begin_log()
        self.database.run("TRUNCATE events, event_states, delivery_keys, body_digests, inbox, conflicts", "CHECKPOINT")

    def begin_log(self) -> None:
        """Throw away what it logged so far."""
        os.truncate(self._api.log, 0)

    def counted(self) -> Counted:
        """Read `/metrics`."""
        figures: dict[str, float] = {}
        for family in text_string_to_metric_families(self._api.get("/metrics").text):
            for sample in family.samples:
                name = f"{sample.name}/{sample.labels['outcome']}" if "outcome" in sample.labels else sample.name
                figures[name] = figures.get(name, 0) + sample.value
        requests = {name: value for name, value in figures.items() if name.startswith("opsconnect_requests_total/")}
        accepted = requests.get("opsconnect_requests_total/accepted", 0)
        return Counted(
            int(accepted),
            int(sum(requests.values()) - accepted),
            int(figures.get("opsconnect_flush_rows_count", 0)),
            int(figures.get("opsconnect_flush_rows_sum", 0)),
            int(figures.get("opsconnect_spans_dropped_total", 0)),
        )

    def rows(self) -> tuple[int, ...]:
        """Count events, delivery keys and inbox rows."""
        return self.database.row(
            "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM delivery_keys), (SELECT count(*) FROM inbox)"
        )

    def kept(self, delivery_ids: Sequence[str]) -> dict[str, str]:
        """Look up which of these deliveries are kept, and as which events."""
        query = "SELECT delivery_id, id::text FROM events WHERE delivery_id = ANY($1::text[])"
        return dict(self.database.rows(query, delivery_ids))

    def spans_arrived(self) -> int:
        """Ask the sink."""
        return self._sink.spans(self._word) if self._sink else 0

    def stop(self) -> None:
        """Drain it."""
        self._api.stop()
