"""Links to Panopto recordings, as people copy them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from functions.lectures.errors import PanoptoUrlInvalid
from functions.shared.http import AddressRefused, check_url

MAX_URL_CHARACTERS = 2000
GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
PAGE = re.compile(r"/Panopto/Pages/(?:Viewer|Embed)\.aspx", re.IGNORECASE)
PODCAST = re.compile(
    rf"/Panopto/Podcast/(Social|Syndication|Stream|Download)/({GUID})\.(mp4|mp3|m4a|m4v)", re.IGNORECASE
)


@dataclass(frozen=True)
class Recording:
    """One recording. The addresses are made here; only the host and the session come from the link.

    ``host`` is lower case, with the port unless it is 443.
    """

    host: str
    session_id: str
    viewer_url: str
    stream_url: str


def read_link(url: str, *, local: bool) -> Recording:
    """The recording behind a Viewer, Embed or Podcast link. Forms of one session give the same host and session.

    :param local: APP_ENV is local, so loopback hosts are accepted, also over http
    :raise PanoptoUrlInvalid: it names no session (a folder, a playlist, another site), or must not be called
    """
    url = url.strip()
    try:
        if len(url) > MAX_URL_CHARACTERS:
            raise PanoptoUrlInvalid()
        parts = urlsplit(check_url(url, local=local))
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except (AddressRefused, ValueError) as error:
        raise PanoptoUrlInvalid() from error
    podcast = PODCAST.fullmatch(parts.path)
    if podcast:
        form, session_id, kind = podcast[1].capitalize(), podcast[2].lower(), podcast[3].lower()
    elif PAGE.fullmatch(parts.path):
        form, kind = "Social", "mp4"
        session_id = _session(parts.query)
    else:
        raise PanoptoUrlInvalid()
    if not re.fullmatch(r"[a-z0-9.:-]{1,250}", host):
        raise PanoptoUrlInvalid()
    name = f"[{host}]" if ":" in host else host
    site = name if port in (None, 443 if parts.scheme == "https" else 80) else f"{name}:{port}"
    base = f"{parts.scheme}://{site}/Panopto"
    return Recording(
        host=site,
        session_id=session_id,
        viewer_url=f"{base}/Pages/Viewer.aspx?id={session_id}",
        # the sound alone is a small part of the whole recording
        stream_url=f"{base}/Podcast/{form}/{session_id}.{kind}?mediaTargetType=audioPodcast",
    )


def _session(query: str) -> str:
    """The session in the query of a page, wherever it stands there."""
    found = {
        value.strip().lower()
        for name, values in parse_qs(query, max_num_fields=50).items()
        if name.lower() == "id"
        for value in values
    }
    if len(found) != 1 or not re.fullmatch(GUID, session_id := found.pop()):
        raise PanoptoUrlInvalid()
    return session_id
