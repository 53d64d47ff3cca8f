"""Practice that a model writes, from a topic or from a student's own material. A tutor reviews it."""
