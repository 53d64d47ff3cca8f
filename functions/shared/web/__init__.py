"""The Flask side of the services: the application, its requests and its answers.

This file imports nothing, because a worker imports ``schemas`` from here and must not load Flask.
"""
