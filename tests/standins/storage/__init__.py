"""A file-backed stand-in for Supabase Storage, held to exchanges recorded from the real server.

Rows live in the real ``storage`` schema (schema.sql); Postgres evaluates row level security in the caller's name.
Not built: resumable uploads, images, S3, and the second list beyond plain pages; they answer 501 or, as the recorded
server with images off, 404.
"""
