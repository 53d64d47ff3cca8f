"""A stand-in for Supabase Auth, for machines without the real server's program.

It serves what this project and its front ends use: sign-up, sign-in, refresh, the person's account, sign-out,
anonymous sign-ins, magic links, recovery, invitations, address changes, administration of people, bans. It works on
the same ``auth`` schema, reads the same environment variables, and answers as the recorded exchanges in
tests/contract/auth show. It has no phone codes, second factors, other providers, single sign-on or audit log.
"""
