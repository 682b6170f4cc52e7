"""Benchmarks: `make bench` recomputes the tables of docs/benchmarks.md. They report ratios measured side by side."""
