"""The Flask side of the services: the application, its requests and its answers. Nothing outside imports Flask.

This file stays empty of imports: the worker reads schemas below here and must not load Flask for it.
"""
