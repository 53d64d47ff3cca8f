"""Archives as GitHub packs them, and those that only somebody who means harm would make."""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Callable, Iterable, Mapping

ROOT = "owner-name-0123abc"
MIB = 1024 * 1024


def example() -> dict[str, str]:
    """A small repository with a few things to find: by reading, by a linter, and by a scanner."""
    return {
        "README.md": "# Quiz\n\nA quiz for the terminal.\n\n    python quiz.py questions.json\n",
        "quiz.py": (
            '"""Asks questions."""\n'
            "\n"
            "import json\n"
            "import sys\n"
            "import os\n"
            "\n"
            'API_TOKEN = "q7Rk2vLx9Tz4Wm8Yb3Nc6Pd1"\n'
            "\n"
            "\n"
            "def load(path, cache={}):\n"
            "    if path not in cache:\n"
            "        cache[path] = json.load(open(path))\n"
            "    return cache[path]\n"
            "\n"
            "\n"
            "def score(questions, answers):\n"
            "    right = 0\n"
            "    for index in range(len(questions)):\n"
            '        if eval(questions[index]["answer"]) == answers[index]:\n'
            "            right += 1\n"
            "    return right / len(questions)\n"
            "\n"
            "\n"
            'if __name__ == "__main__":\n'
            "    questions = load(sys.argv[1])\n"
            '    print(score(questions, [input(q["text"]) for q in questions]))\n'
        ),
        "tests/test_quiz.py": (
            "from quiz import score\n"
            "\n"
            "\n"
            "def test_all_right():\n"
            '    assert score([{"answer": "1 + 1", "text": "?"}], [2]) == 1\n'
        ),
        "questions.json": '[{"text": "What is 1 + 1? ", "answer": "\'2\'"}]\n',
    }


def member(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    """One member of an archive."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, len(data), link
    return info, data


def pack(files: Mapping[str, str | bytes], root: str = ROOT) -> bytes:
    """The archive of a commit: everything below one folder, packed by gzip."""
    members = [member(root, kind=tarfile.DIRTYPE)]
    for path, content in files.items():
        members.append(member(f"{root}/{path}", content.encode() if isinstance(content, str) else content))
    return packed(members)


def packed(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """An archive of any members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _bare(*members: tuple[tarfile.TarInfo, bytes]) -> Callable[[], bytes]:
    return lambda: packed([member(f"{ROOT}/README.md", b"# Hello\n"), *members])


def _repeated(beginning: bytes, block: bytes, times: int) -> bytes:
    """A gzip file of a beginning and a block that is repeated, made without packing the block more than once."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    first = packer.compress(beginning) + packer.flush(zlib.Z_FULL_FLUSH)
    # after a full flush, what is packed refers to nothing before it
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + first + again * times + packer.flush() + bytes(8)


def _bomb(head: tarfile.TarInfo, size: int) -> bytes:
    """A member of many zeros, which packs to a thousandth."""
    head.size = size
    return _repeated(head.tobuf(tarfile.PAX_FORMAT), bytes(MIB), size // MIB)


def _entries(count: int) -> bytes:
    """So many empty files, the first of which have names of their own."""
    heads = [tarfile.TarInfo(f"{ROOT}/{number:07}").tobuf(tarfile.USTAR_FORMAT) for number in range(6000)]
    return _repeated(b"".join(heads[:5000]), b"".join(heads[5000:]), (count - 5000) // 1000)


def _holes() -> bytes:
    """A file with holes, which stands for much more than it holds."""
    info = tarfile.TarInfo(f"{ROOT}/sparse")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(10**12)}
    data = b"1\n0\n512\n".ljust(512, b"\0") + b"x" * 512
    info.size = len(data)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _long_name() -> bytes:
    """A header that says that the next name has half a gigabyte."""
    info = tarfile.TarInfo("././@LongLink")
    info.type = tarfile.GNUTYPE_LONGNAME
    return _bomb(info, 512 * MIB)


# what must be refused, by what is wrong with it; each is made when it is asked for
EVIL: Mapping[str, Callable[[], bytes]] = {
    "link out": _bare(member(f"{ROOT}/a/link", kind=tarfile.SYMTYPE, link="../../../secret")),
    "absolute link": _bare(member(f"{ROOT}/link", kind=tarfile.SYMTYPE, link="/nowhere/secret")),
    "hard link": _bare(member(f"{ROOT}/link", kind=tarfile.LNKTYPE, link="/nowhere/secret")),
    "name out": _bare(member(f"{ROOT}/../../out.py", b"x = 1\n")),
    "name out, Windows": _bare(member(f"{ROOT}\\..\\..\\out.py", b"x = 1\n")),
    "absolute name": _bare(member("/nowhere/out.py", b"x = 1\n")),
    "device": _bare(member(f"{ROOT}/device", kind=tarfile.CHRTYPE)),
    "pipe": _bare(member(f"{ROOT}/pipe", kind=tarfile.FIFOTYPE)),
    "the same name twice": _bare(member(f"{ROOT}/README.md", b"other\n")),
    "holes": _holes,
    "no archive": lambda: b"<html>This is not an archive.</html>",
    "empty": lambda: b"",
    "cut": lambda: pack(example())[:-200],
    "damaged": lambda: (data := bytearray(pack(example())), data.__setitem__(slice(60, 90), bytes(30)), bytes(data))[
        -1
    ],
    "a bomb of one file": lambda: _bomb(tarfile.TarInfo(f"{ROOT}/zeros"), 2048 * MIB),
    "a bomb of a name": _long_name,
    "a million entries": lambda: _entries(1_000_000),
}
