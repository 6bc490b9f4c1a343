"""Azure on one machine: what the app meets in the cloud, started on loopback."""
