"""Measurements, each a script of its own that prints a table: ``python -m benchmarks.decoding``."""
