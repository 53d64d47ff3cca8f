"""Writes supabase/migrations from sql/ and policies/ while nothing has landed: one pair of files a room."""

from __future__ import annotations

from scripts.native import schema

HEADER = """-- {purpose}
-- Touches: {room}. Undo: drop what it creates, newest first; nothing in it destroys data.

"""


def main() -> None:
    """Replaces the whole history."""
    schema.MIGRATIONS.mkdir(parents=True, exist_ok=True)
    for old in schema.migrations():
        old.unlink()
    minute = 0
    for verb, files_of, purpose in (
        ("create", schema.room_files, "Tables, functions and views of the room {room}."),
        ("protect", schema.policy_files, "Grants and row level security of the room {room}."),
    ):
        for room in schema.rooms():
            files = files_of(room)
            if not files:
                continue
            name = f"202611211{2 if verb == 'create' else 3}{minute % 60:02d}00_{verb}_{room.split('_', 1)[1]}.sql"
            minute += 1
            head = HEADER.format(purpose=purpose.format(room=room), room=room)
            body = "\n".join(file.read_text().rstrip() + "\n" for file in files)
            (schema.MIGRATIONS / name).write_text(head + body)


if __name__ == "__main__":
    main()
