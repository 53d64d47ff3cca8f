# Sourced by the commands beside it: finds a Python that is new enough, then hands over to bootstrap.py.
# Plain sh, because a shell is all that is certain on a newcomer's machine.

start() {
    for python in python3 python3.14 python3.13 python3.12 python3.11 python; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            exec "$python" "$scripts/bootstrap.py" "$@"
        fi
    done
    if command -v python3 >/dev/null; then found=$(python3 --version 2>&1); else found="no python3"; fi
    echo "headstart: Python 3.11 or newer is needed and $found is on PATH: install a newer one" >&2
    exit 1
}
