"""Runs the jobs: claims, works, heartbeats, ends in good order. ``python -m functions.worker``; see README.md."""
