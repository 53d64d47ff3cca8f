"""Which language a file is written in, by its name, and which files nobody wrote by hand."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

SUFFIXES = {
    "py": "Python", "pyi": "Python", "js": "JavaScript", "mjs": "JavaScript", "cjs": "JavaScript",
    "jsx": "JavaScript", "ts": "TypeScript", "tsx": "TypeScript", "java": "Java", "kt": "Kotlin", "kts": "Kotlin",
    "c": "C", "h": "C", "cc": "C++", "cpp": "C++", "cxx": "C++", "hpp": "C++", "hh": "C++", "cs": "C#", "go": "Go",
    "rs": "Rust", "rb": "Ruby", "php": "PHP", "swift": "Swift", "m": "Objective-C", "scala": "Scala", "r": "R",
    "jl": "Julia", "lua": "Lua", "pl": "Perl", "pm": "Perl", "hs": "Haskell", "ml": "OCaml", "ex": "Elixir",
    "exs": "Elixir", "erl": "Erlang", "clj": "Clojure", "dart": "Dart", "zig": "Zig", "nim": "Nim", "f90": "Fortran",
    "sh": "Shell", "bash": "Shell", "zsh": "Shell", "fish": "Shell", "ps1": "PowerShell", "sql": "SQL",
    "html": "HTML", "htm": "HTML", "css": "CSS", "scss": "SCSS", "sass": "SCSS", "less": "Less", "vue": "Vue",
    "svelte": "Svelte", "tex": "TeX", "asm": "Assembly", "s": "Assembly", "groovy": "Groovy", "gradle": "Groovy",
    "tf": "HCL", "proto": "Protocol Buffers", "graphql": "GraphQL",
}  # fmt: skip
NAMES = {"dockerfile": "Dockerfile", "makefile": "Makefile", "gnumakefile": "Makefile", "rakefile": "Ruby"}
# folders of other people's code and of what a build wrote
GENERATED_FOLDERS = frozenset(
    {
        *("node_modules", "bower_components", "vendor", "vendored", "third_party", "site-packages", ".venv", "venv"),
        *("virtualenv", "dist", "build", "out", "target", ".next", ".nuxt", "coverage", "htmlcov", "__pycache__"),
        *(".git", ".gradle", ".idea", ".vs", "pods", ".terraform", ".yarn"),
    }
)
GENERATED_NAMES = frozenset(
    {
        *("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "poetry.lock", "pipfile.lock"),
        *("uv.lock", "cargo.lock", "composer.lock", "gemfile.lock", "go.sum", "packages.lock.json", "flake.lock"),
    }
)
GENERATED_SUFFIX = re.compile(
    r"(?:\.min\.(?:js|css)|\.bundle\.js|\.map|_pb2(?:_grpc)?\.pyi?|\.pb\.go|\.g\.dart|\.snap)$"
)


def language_of(path: str) -> str | None:
    """The language; None for prose, data and settings."""
    name = PurePosixPath(path).name.lower()
    return NAMES.get(name) or SUFFIXES.get(name.rpartition(".")[2] if "." in name else "")


def is_generated(path: str) -> bool:
    """Whether a tool wrote the file, or other people did, as far as its name tells."""
    parts = path.lower().split("/")
    return (
        not GENERATED_FOLDERS.isdisjoint(parts[:-1])
        or parts[-1] in GENERATED_NAMES
        or GENERATED_SUFFIX.search(parts[-1]) is not None
    )
