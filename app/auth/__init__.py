"""Who may speak to this node: local users, their passwords, and the sessions that bearer tokens
stand for.
"""
