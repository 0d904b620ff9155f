"""Batches of views, worker processes, order and progress."""
