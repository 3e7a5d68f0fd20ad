"""A node's secrets, and the operations on them that let no secret out."""
