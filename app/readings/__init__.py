"""Who looked: a node's own reading log, what it reports to patients' agents, and what an agent keeps of others."""
