"""What a node tells of itself: statistics, health, diagnostics, latency, tracing."""
