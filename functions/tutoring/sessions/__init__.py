"""Tutoring sessions: transcripts, their summaries, and tutors' notes."""
