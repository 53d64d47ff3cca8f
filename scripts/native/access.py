"""The access matrix as data: reads policies/access_matrix.txt, whose head explains its lines and cells."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.native.paths import REPO

MATRIX = REPO / "policies" / "access_matrix.txt"
COMMANDS = ("select", "insert", "update", "delete")
CELLS = frozenset("10-!cfnu")
REFUSED = frozenset("-!cfnu")  # the database says no, with an error
SERVICE = "service"
# people whose token still names a role that they have lost since
FORMER = ("former_admin", "deleted_admin", "former_tutor", "former_parent")


class MatrixError(ValueError):
    """A line of the matrix cannot be read; the message says which and why."""


@dataclass(frozen=True)
class Person:
    """A column of every grid."""

    code: str
    name: str
    says: str

    @property
    def database_role(self) -> str:
        """The role a request of this person runs as, as far as rights go."""
        if self.name in ("admin", "former_admin", "deleted_admin"):
            return "app_admin"
        return {"anon": "anon", "service": "service_role"}.get(self.name, "authenticated")


@dataclass(frozen=True)
class Row:
    """A row of the seed: the value of its key columns, whose it is, and what it is."""

    name: str
    owners: tuple[str, ...]
    key: Mapping[str, str]
    says: str


@dataclass(frozen=True)
class Line:
    """One line of a grid: what is tried, and what each person must find."""

    number: int
    command: str
    row: Row | None
    send: str | None
    cells: Mapping[str, str]

    @property
    def title(self) -> str:
        """The line as it reads in the matrix."""
        return " ".join(filter(None, (self.command, self.row.name if self.row else None, self.send)))


@dataclass
class Relation:
    """A table or view of public."""

    name: str
    room: str
    rows: dict[str, Row] = field(default_factory=dict)
    sends: dict[str, dict[str, Any]] = field(default_factory=dict)
    columns: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)  # (command, role) -> columns
    lines: list[Line] = field(default_factory=list)


@dataclass(frozen=True)
class Call:
    """A function of public and what calling it answers each person."""

    name: str
    cells: Mapping[str, str]


@dataclass
class Matrix:
    """The whole file."""

    people: list[Person] = field(default_factory=list)
    linked: dict[str, frozenset[str]] = field(default_factory=dict)
    relations: dict[str, Relation] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)

    def person(self, name: str) -> Person:
        """A person by name."""
        return next(person for person in self.people if person.name == name)

    def row_class(self, person: str, row: Row) -> str:
        """What a row is to a person: own, linked (of a related person), open (everybody's) or foreign."""
        if person in row.owners:
            return "own"
        if "everybody" in row.owners:
            return "open"
        return "linked" if self.linked.get(person, frozenset()) & set(row.owners) else "foreign"

    def size(self) -> int:
        """How many cells the grids have."""
        lines = sum(len(relation.lines) for relation in self.relations.values())
        return (lines + len(self.calls) + len(self.private)) * len(self.people)


def read(path: Path = MATRIX) -> Matrix:
    """Reads the matrix.

    :raise MatrixError: a line that is not of the form the head of the file explains, or names what is not declared
    """
    return _Reader(path).read()


class _Reader:
    """One pass over the file; ``relation`` is the table whose block is being read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.matrix = Matrix()
        self.room = ""
        self.relation: Relation | None = None

    def read(self) -> Matrix:
        for number, line in enumerate(self.path.read_text().splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                self._line(number, line.strip())
            except (KeyError, ValueError) as error:
                raise MatrixError(f"{self.path.name}:{number}: {error}: {line}") from error
        return self.matrix

    def _line(self, number: int, text: str) -> None:
        word, _, rest = text.partition(" ")
        rest = rest.strip()
        if heading := re.fullmatch(r"== (\w+)", text):
            self.room, self.relation = heading[1], None
        elif block := re.fullmatch(r"\[(\w+)\]", text):
            self.relation = self.matrix.relations.setdefault(block[1], Relation(block[1], self.room))
        elif word == "person":
            code, name, says = re.split(r"\s+", rest, maxsplit=2)
            self.matrix.people.append(Person(code, name, says))
        elif word == "linked":
            person, names = rest.split(":")
            self.matrix.linked[person] = frozenset(names.split())
        elif word == "private":
            self.matrix.private.update(rest.split())
        elif word in ("call", "service"):
            self._calls(word, rest)
        elif [person.code for person in self.matrix.people] == text.split():
            return  # the grid's head, for the reader's eye
        else:
            self._of_relation(number, word, rest)

    def _calls(self, word: str, rest: str) -> None:
        if word == "call":
            name, *cells = rest.split()
            self.matrix.calls[name] = Call(name, self._cells(cells))
            return
        for name in rest.split():
            only_service = ["1" if person.name == SERVICE else "-" for person in self.matrix.people]
            self.matrix.calls[name] = Call(name, self._cells(only_service))

    def _of_relation(self, number: int, word: str, rest: str) -> None:
        relation = self.relation
        if relation is None:
            raise ValueError("no table before this line")
        if word == "row":
            head, key, says = (part.strip() for part in rest.split("|"))
            name, owners = re.split(r"\s+of\s+", head)
            pairs = dict(pair.split("=", 1) for pair in key.split("&"))
            relation.rows[name] = Row(name, tuple(owners.split(",")), pairs, says)
        elif word == "send":
            name, body = re.split(r"\s+", rest, maxsplit=1)
            relation.sends[name] = json.loads(body)
        elif word == "columns":
            head, names = rest.split(":")
            command, role = head.split()
            relation.columns[command, role] = tuple(names.split())
        elif word in COMMANDS:
            self._cells_of(number, relation, word, rest.split())
        else:
            raise ValueError("unknown line")

    def _cells_of(self, number: int, relation: Relation, command: str, words: list[str]) -> None:
        count = len(self.matrix.people)
        names, cells = words[:-count], words[-count:]
        wanted = {"select": 1, "insert": 1, "update": 2, "delete": 1}[command]
        if len(names) != wanted:
            raise ValueError(f"{command} names {wanted} thing(s) and has {count} cells")
        row = None if command == "insert" else relation.rows[names[0]]
        send = names[-1] if command in ("insert", "update") else None
        if send is not None and send not in relation.sends:
            raise ValueError(f"nothing is declared to send as {send}")
        relation.lines.append(Line(number, command, row, send, self._cells(cells)))

    def _cells(self, cells: list[str]) -> dict[str, str]:
        if len(cells) != len(self.matrix.people) or not set(cells) <= CELLS:
            raise ValueError("a cell is missing or unknown")
        return {person.name: cell for person, cell in zip(self.matrix.people, cells, strict=True)}


def seed_id(number: str) -> str:
    """``800501`` as the uuid the seed gives it."""
    return f"00000000-0000-4000-8000-{number.zfill(12)}"


def resolve(value: Any, people: Mapping[str, str]) -> Any:
    """A value as written in the matrix as the database knows it: ``#800501`` and ``@student`` become ids."""
    if isinstance(value, str) and re.fullmatch(r"#\d{6}", value):
        return seed_id(value[1:])
    if isinstance(value, str) and value.startswith("@"):
        return people[value[1:]]
    return value


PEOPLE_IDS = {
    name: seed_id(str(number))
    for number, name in enumerate(
        (
            "student",
            "other_student",
            "tutor_all",
            "tutor_one",
            "tutor_paused",
            "parent",
            "parent_revoked",
            "teacher",
            "other_teacher",
            "admin",
        ),
        100001,
    )
}
