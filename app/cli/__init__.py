"""The command line: `carecord …`."""
