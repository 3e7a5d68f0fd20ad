"""Who witnesses order and uniqueness: the notary and its transparency log."""
