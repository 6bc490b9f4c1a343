"""A deterministic simulation: workers, one store, one queue, virtual time, and everything that can

go wrong between them, decided by one seed.
"""
