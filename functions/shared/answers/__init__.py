"""Answers of a model that are written into streams: asked for, written by a worker, followed, stopped, swept.

``reading`` and ``following`` serve the functions, ``writing`` and ``run`` the worker, ``waking`` joins them. What an
answer is about, a message of a teacher's thread or a question of a student, is an :class:`~.run.Answer` of its service.
"""
