"""Benchmarks: ratios against a baseline in the same run, each with a floor and a goal."""
