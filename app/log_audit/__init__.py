"""A member audits its notaries: a copy of each log, checked entry by entry as it grows (notaries/README.md N9.2)."""
