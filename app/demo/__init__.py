"""The demonstration: a network of five nodes on one machine, and the story that it plays."""
