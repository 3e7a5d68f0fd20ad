"""Golden vectors, and the second implementation that makes them."""
