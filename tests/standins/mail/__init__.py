"""A mail box for the native stack: an SMTP server that keeps what it gets in memory, with a page and a JSON API.

Auth and every other service send into it, so that links and codes can be read on a machine without a mail server.
docs/mail.md tells how front ends and tests use it. Addresses whose local part begins with ``bounce`` or ``busy`` are
refused for good or for now, as mail servers do.
"""
