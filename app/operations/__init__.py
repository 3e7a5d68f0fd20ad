"""Running a node: its log lines, numbers, health, process, backup and restore."""
