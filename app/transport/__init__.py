"""Links between organisations: mutual TLS pinned by the network map, one sealed box a write."""
