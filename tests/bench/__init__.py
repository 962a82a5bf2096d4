"""How fast intake is, beside what uvicorn leaves to anyone: `make bench`. docs/performance.md explains the figures."""
