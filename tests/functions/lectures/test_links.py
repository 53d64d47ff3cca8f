"""Which links name a recording, and at which sites."""

from __future__ import annotations

import pytest

from functions.lectures.errors import PanoptoUrlInvalid
from functions.lectures.links import read_link
from functions.shared.fetch import is_listed
from tests.support.lectures import Hall

ID = "0a6f2c1e-5b7d-4f3a-9c21-6d8e4b0f7a11"
SITE = "https://school.hosted.panopto.com"


@pytest.mark.parametrize(
    "link",
    [
        f"{SITE}/Panopto/Pages/Viewer.aspx?id={ID}",
        f"{SITE}/Panopto/Pages/Viewer.aspx?start=12.5&id={ID.upper()}&query=hash",
        f"{SITE}/Panopto/Pages/Viewer.aspx?pid=11111111-1111-1111-1111-111111111111&id={ID}&start=undefined",
        f"{SITE}:443/Panopto/Pages/Viewer.aspx?tid=22222222-2222-2222-2222-222222222222&id={ID}#top",
        f"{SITE}/panopto/pages/viewer.aspx?ID={ID}",
        f"  {SITE.upper().replace('HTTPS', 'https')}/Panopto/Pages/Embed.aspx?id={ID}&autoplay=false\n",
        f"{SITE}./Panopto/Pages/Viewer.aspx?id={ID}&id={ID}",
    ],
)
def test_pages_of_one_session_are_one_recording(link: str) -> None:
    found = read_link(link, local=False)
    assert (found.host, found.session_id) == ("school.hosted.panopto.com", ID)
    assert found.viewer_url == f"{SITE}/Panopto/Pages/Viewer.aspx?id={ID}"
    assert found.stream_url == f"{SITE}/Panopto/Podcast/Social/{ID}.mp4?mediaTargetType=audioPodcast"


@pytest.mark.parametrize("form", ["Social", "Syndication", "Stream", "Download"])
def test_podcast_links_name_the_same_session(form: str) -> None:
    found = read_link(f"{SITE}/Panopto/Podcast/{form}/{ID.upper()}.mp4?mediaTargetType=videoPodcast", local=False)
    assert (found.host, found.session_id) == ("school.hosted.panopto.com", ID)
    assert found.viewer_url == f"{SITE}/Panopto/Pages/Viewer.aspx?id={ID}"
    assert found.stream_url == f"{SITE}/Panopto/Podcast/{form}/{ID}.mp4?mediaTargetType=audioPodcast"


@pytest.mark.parametrize(
    "link",
    [
        f'{SITE}/Panopto/Pages/Sessions/List.aspx#folderID="{ID}"',
        f"{SITE}/Panopto/Pages/Viewer.aspx?pid={ID}",
        f"{SITE}/Panopto/Pages/Viewer.aspx",
        f"{SITE}/Panopto/Pages/Viewer.aspx?id=",
        f"{SITE}/Panopto/Pages/Viewer.aspx?id={ID[:-1]}",
        f"{SITE}/Panopto/Pages/Viewer.aspx?id={ID}0",
        f"{SITE}/Panopto/Pages/Viewer.aspx?id={ID}&id={ID[::-1]}",
        f"{SITE}/Panopto/Pages/Viewer.aspx#id={ID}",
        f"{SITE}/Panopto/Podcast/Podcast.ashx?courseid={ID}&type=mp4",
        f"{SITE}/Panopto/Podcast/Other/{ID}.mp4",
        f"{SITE}/Panopto/Podcast/Social/{ID}.mp4/../../x",
        f"{SITE}/Pages/Viewer.aspx?id={ID}",
        f"https://www.youtube.com/watch?id={ID}",
        f"http://school.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id={ID}",
        f"https://user:secret@school.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id={ID}",
        f"https://10.0.0.7/Panopto/Pages/Viewer.aspx?id={ID}",
        f"https://localhost/Panopto/Pages/Viewer.aspx?id={ID}",
        f"http://127.0.0.1:9000/Panopto/Pages/Viewer.aspx?id={ID}",
        f"https://bücher.test/Panopto/Pages/Viewer.aspx?id={ID}",
        f"ftp://school.hosted.panopto.com/Panopto/Pages/Viewer.aspx?id={ID}",
        f"https://[::1/Panopto/Pages/Viewer.aspx?id={ID}",
        f"javascript:alert('{ID}')",
        "not a link",
        "https://" + "a" * 3000,
    ],
)
def test_other_links_are_refused(link: str) -> None:
    with pytest.raises(PanoptoUrlInvalid):
        read_link(link, local=False)


def test_loopback_sites_are_for_local_work() -> None:
    found = read_link(f"http://127.0.0.1:9000/Panopto/Pages/Embed.aspx?id={ID}", local=True)
    assert (found.host, found.viewer_url) == (
        "127.0.0.1:9000",
        f"http://127.0.0.1:9000/Panopto/Pages/Viewer.aspx?id={ID}",
    )


def test_sites_are_those_of_the_setting_and_of_the_schools(hall: Hall) -> None:
    """The stand-in's own site was noted by staff at an installation of Canvas."""
    assert hall.post().status_code == 202
    refused = hall.post(f"{SITE}/Panopto/Pages/Viewer.aspx?id={ID}")
    assert (refused.status_code, refused.json()["code"]) == (422, "panopto_host_not_allowed")
    folder = hall.post(f'{hall.panopto.url}/Panopto/Pages/Sessions/List.aspx#folderID="{ID}"')
    assert (folder.status_code, folder.json()["code"]) == (422, "panopto_url_invalid")
    hall.sql("update public.lms_connections set status = 'disabled' where settings ? 'panopto_hosts'")
    assert hall.post().json()["code"] == "panopto_host_not_allowed", "a school that is switched off lists no sites"


def test_odd_lists_of_sites_let_nobody_in(hall: Hall) -> None:
    for odd in ('"*"', "[1, null, {}]", '["*", "*.", "", "panopto"]', "null", "{}"):
        hall.sql(
            "update public.lms_connections set settings = jsonb_build_object('panopto_hosts', %s::jsonb)"
            " where settings ? 'panopto_hosts'",
            odd,
        )
        assert hall.post().json()["code"] == "panopto_host_not_allowed", odd


def test_a_star_stands_for_subdomains() -> None:
    viewer = read_link(f"{SITE}/Panopto/Pages/Viewer.aspx?id={ID}", local=False).viewer_url
    assert is_listed(viewer, ["*.panopto.com"])
    assert is_listed(viewer, ["other.test", "school.hosted.panopto.com"])
    assert not is_listed(viewer, ["*.panopto.eu", "panopto.com", "school.hosted.panopto.com:8443"])
