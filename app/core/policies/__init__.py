"""Ports wrapped in behaviour: each policy is the port that it wraps."""
