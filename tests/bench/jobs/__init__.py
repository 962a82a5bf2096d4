"""How fast jobs are, beside other queues of Python: `make bench-jobs`. docs/performance.md explains the figures."""
