"""Hashes, Merkle trees, keys and signatures."""
