"""Benchmarks: one question a file, `run(...)` returns the rows of a table."""
