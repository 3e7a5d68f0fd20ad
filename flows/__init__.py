"""How parties agree: the flow engine and the conversations between nodes."""
