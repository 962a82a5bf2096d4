"""In-process twins of ports, for unit tests; they pass the same conformance suites."""
