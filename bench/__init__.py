"""Benchmarks: ratios to a floor measured in the same run, so that machines can be compared."""
