"""The node: everything with a socket, a disk or a screen."""
