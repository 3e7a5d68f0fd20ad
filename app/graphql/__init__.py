"""The GraphQL API: its limits, errors, cursors and scalars, and the handler that carries it over
HTTP, SSE and WebSocket.
"""
