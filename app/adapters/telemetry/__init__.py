"""Traces, metrics and log lines behind the telemetry port."""
