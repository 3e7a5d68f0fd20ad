"""The node's GraphQL schema: one module a subject, and the one table of who sees what."""
