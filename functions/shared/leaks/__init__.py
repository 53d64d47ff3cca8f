"""The leak guard: a text that helps a student never contains the finished work. See README.md."""
