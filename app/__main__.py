"""`python -m app` is `opsconnect`."""

from app.cli import main

main()
