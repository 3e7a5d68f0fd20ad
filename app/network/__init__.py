"""The network map of a node: what the network has agreed, who its members are, and how both change."""
