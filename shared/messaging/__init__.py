"""The queue that push events travel on."""
