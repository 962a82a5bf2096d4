"""The yardstick, L0: an ASGI callable that reads the body and answers 202.

python -m tests.bench.echo PORT
"""

import sys

from app.adapters.web.webhooks import Receive, Scope, Send
from tests.bench.bare import serve


async def echo(_: Scope, receive: Receive, send: Send) -> None:
    """Do the least that an answer to a POST takes."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


if __name__ == "__main__":
    serve(echo, int(sys.argv[1]))
