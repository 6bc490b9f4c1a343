"""A deterministic simulation: workers, a store and a queue in virtual time.

Everything that can go wrong between them is decided by one seed.
"""
