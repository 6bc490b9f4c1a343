"""A Kafka broker for one machine: one node, in memory, in the process that starts it.

It speaks the part of Kafka's protocol that a consumer group and a producer use, in one version
each: `python -m pytest tests/kafka` holds it to the same contract as Apache Kafka, where there is
one. Left out: transactions, compaction, retention, replicas, quotas, TLS, SCRAM, administration.
"""
