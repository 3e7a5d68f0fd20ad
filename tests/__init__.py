"""Claims about Carecord, and the vectors that back them."""
