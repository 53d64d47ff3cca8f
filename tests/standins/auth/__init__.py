"""A stand-in for Supabase Auth 2.188.1, for machines without the real binary.

It serves the routes this project and its clients use, over the same ``auth`` schema and with the same environment
variables, and answers as the recorded exchanges in tests/contract/auth show. Left out on purpose: phone codes, second
factors, outside providers, SAML, captcha and rate limits per address.
"""
