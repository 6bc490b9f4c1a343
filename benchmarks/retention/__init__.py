"""Whether retention deletes what is due of many rows, and nothing else, also where it is killed."""
