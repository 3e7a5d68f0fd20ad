"""The whole network in one process and one thread."""
