"""Tasks for tests of the workers."""
