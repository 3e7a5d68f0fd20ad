"""The node's database: one SQLite file, one connection that writes."""
