"""Days of a charging fleet in virtual time, as Application Insights would be told of them.

The functions' work is the product's own, on a store in memory; the envelopes are the local host's.
`python -m tests.monitoring` plays a day and sends it to an ingestion endpoint.
"""
