"""What the node shows to browsers and other clients over HTTP: sign-in, headers, static pages and
the application itself.
"""
