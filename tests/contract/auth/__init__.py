"""What Supabase Auth answers: recorded exchanges of server 2.188.1, its schema, and behaviour beyond the recordings.

auth_cases.json, auth_hook_cases.json (with hook.sql installed) and auth_schema.json were recorded from the real server.
The tests run against whichever Auth the stack has.
"""
