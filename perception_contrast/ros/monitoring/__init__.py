"""Monitoring of a node: statistics, health, diagnostics, latency, tracing."""
