"""One file from a server that stalls, truncates, lies, redirects, refuses and changes its mind."""

from __future__ import annotations

import gzip
import hashlib
import io
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from hostile_site import LOGIN_PAGE, Answer, Asked, Site, file, head, open_site, page, status

from benchmark.domains.assets import RemoteFile
from benchmark.errors import DataError
from benchmark.fetch import limits
from benchmark.fetch.download import ForNow, Line, Patience, download
from benchmark.fetch.http import PrivateAddress, content_length, content_range, require_public
from benchmark.fetch.limits import Absent, Gone, TooMuch

LONG = Patience(connect=120, stall=120, tries=3, first_wait=0.01, longest_wait=0.05)
"""Nobody here takes so long, but for those who stall."""
PATH = "/set.zip"


def zip_of(seed: int, size: int = 400_000) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("noise.bin", np.random.default_rng(seed).bytes(size))
    return buffer.getvalue()


DATA, OTHER = zip_of(1), zip_of(2)
HASH = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site() as opened:
        yield opened


def get(
    folder: Path,
    url: str,
    *,
    mirrors: tuple[str, ...] = (),
    line: Line | None = None,
    locked: str | None = None,
    **card: Any,
) -> bytes:
    """What arrives at set.zip; nothing else may lie beside it afterwards."""
    wanted = RemoteFile(name="set.zip", url=url, mirrors=mirrors, **card)
    got = download(wanted, folder / "set.zip", line or Line(LONG), sha256=locked)
    assert [path.name for path in folder.iterdir()] == ["set.zip"]
    arrived = (folder / "set.zip").read_bytes()
    assert (got.bytes, got.sha256) == (len(arrived), hashlib.sha256(arrived).hexdigest())
    return arrived


GOOD_IN_THE_END: dict[str, tuple[list[Answer], int]] = {
    "whole": ([file(DATA)], 1),
    "without a length": ([file(DATA, length=False)], 1),
    "without a version": ([file(DATA, None)], 1),
    "truncated once": ([file(DATA, stops_after=150_000), file(DATA)], 2),
    "truncated every time": ([file(DATA, stops_after=150_000)], 3),
    "stalled": ([file(DATA, stops_after=150_000, stalls=True), file(DATA)], 2),
    "stalled before the first byte": ([file(DATA, stops_after=0, stalls=True), file(DATA)], 2),
    "too long a length": ([file(DATA, says_length=len(DATA) + 9), file(DATA)], 3),  # the rest, then all of it
    "no ranges": ([file(DATA, stops_after=150_000), file(DATA, ranges=False)], 2),
    "truncated, without a version": ([file(DATA, None, stops_after=150_000), file(DATA, None)], 2),
    "busy": ([status(503), status(500), file(DATA)], 3),
    "too many requests": ([status(429, Retry_After="0"), file(DATA)], 2),
    "too many requests, by date": ([status(429, Retry_After=formatdate(0, usegmt=True)), file(DATA)], 2),
    "half of it, then busy": ([file(DATA, stops_after=150_000), status(502), file(DATA)], 3),
    "another version half way": ([file(OTHER, '"v0"', stops_after=150_000), file(DATA)], 2),
    "called plain": ([status(200, DATA, Content_Encoding="identity")], 1),
}


@pytest.mark.parametrize("what", GOOD_IN_THE_END)
def test_a_file_arrives_whole(what: str, site: Site, tmp_path: Path) -> None:
    answers, requests = GOOD_IN_THE_END[what]
    stall = 3 if "stalled" in what else 120  # then the next answer has as long
    arrived = get(tmp_path, site.says(PATH, *answers), line=Line(replace(LONG, stall=stall)))
    assert arrived == DATA
    assert len(site.asked) == requests


def test_what_is_here_is_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    url = site.says(PATH, file(DATA, stops_after=200_000))
    with pytest.raises(ForNow, match=r"set.zip: the connection broke off"):
        get(tmp_path, url, line=Line(replace(LONG, tries=1)))
    assert not (tmp_path / "set.zip").exists()
    site.says(PATH, file(DATA))
    assert get(tmp_path, url) == DATA  # another command
    first, second = site.ranges(PATH)
    assert first is None and second is not None
    assert 100_000 < int(second.removeprefix("bytes=").removesuffix("-")) <= 200_000


def test_a_server_that_mixes_versions_gets_no_file_through(site: Site, tmp_path: Path) -> None:
    """It answers with the rest of the new file though the old one was asked for; both have one length."""
    url = site.says(PATH, file(OTHER, '"v0"', stops_after=200_000), file(DATA, '"v1"', trusts_range=True))
    assert get(tmp_path, url) == DATA
    assert [wanted is None for wanted in site.ranges(PATH)] == [True, False, True]


def test_a_file_that_became_shorter_is_begun_anew(site: Site, tmp_path: Path) -> None:
    short = zip_of(3, 1000)
    url = site.says(PATH, file(DATA, stops_after=200_000), file(short, trusts_range=True))
    assert get(tmp_path, url) == short
    assert [wanted is None for wanted in site.ranges(PATH)] == [True, False, True]


def test_redirections_are_followed_to_another_host_and_not_in_circles(site: Site, tmp_path: Path) -> None:
    with open_site() as elsewhere:
        elsewhere.says(PATH, file(DATA))
        url = site.says("/old", status(302, Location=elsewhere.url("/moved")))
        elsewhere.says("/moved", status(307, Location=PATH))
        assert get(tmp_path, url, line=Line(LONG, local=True)) == DATA
    (tmp_path / "set.zip").unlink()
    with pytest.raises(Absent, match="redirects"):
        get(tmp_path, site.says("/a", status(301, Location="/a")), line=Line(LONG, local=True))
    with pytest.raises(Absent, match="file:///etc/passwd"):
        get(tmp_path, site.says("/b", status(302, Location="file:///etc/passwd")))
    assert not list(tmp_path.iterdir())


def test_a_redirection_to_this_machine_is_not_followed_unless_allowed(site: Site, tmp_path: Path) -> None:
    """Behind such an address may be anything that trusts this machine; the answer would be stored as a picture."""
    with open_site() as inside:
        inside.says("/admin", file(DATA))
        port = inside.root.rpartition(":")[2]
        for number, host in enumerate(("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1", "0.0.0.0")):
            url = site.says(f"/{number}.zip", status(302, Location=f"http://{host}:{port}/admin"))
            with pytest.raises(PrivateAddress, match=r"redirects to .* an address of this machine or its network"):
                get(tmp_path, url)
        assert not inside.asked and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "host",
    ["10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "[::1]", "[fe80::1]", "[fd00::1]",
     "224.0.0.1", "2130706433", "127.1", "0177.0.0.1", "0", "localhost.", "8.8.8.8@127.0.0.1", "127.0.0.1\\@8.8.8.8",
     "[fe80::1%25lo]", "[::127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::]", "[fec0::1]",
     "[64:ff9b:1:a00:0:100:808:808]", "[::ffff:0:7f00:1]", "[4000::1]", "[2001:0:808:808::1]",
     "[2606:4700::5efe:7f00:1]", "[2606:4700::200:5efe:a01:203]", "[fe80::5efe:808:808]"],
)  # fmt: skip
def test_addresses_of_a_private_network_are_known(host: str) -> None:
    with pytest.raises(PrivateAddress):
        require_public(f"http://{host}/a.png", "a list names")


@pytest.mark.parametrize(
    "host",
    [
        "8.8.8.8",
        "127.0.0.1@8.8.8.8",
        "[64:ff9b::808:808]",
        "[2002:808:808::]",
        "[2606:4700:4700::1111]",
        "[2606:4700::5efe:808:808]",
        "a-name.invalid",
        "",
    ],
)
def test_other_addresses_pass(host: str) -> None:
    require_public(f"http://{host}/a.png", "a list names")


@pytest.mark.parametrize("digits", ["9" * 5000, "\u0663", "-1", "1e3", "9" * 19])
def test_a_length_that_no_file_can_have_is_none(digits: str) -> None:
    """Python refuses to read so many digits with an error of its own."""
    answer = requests.Response()
    answer.headers["Content-Length"] = digits
    assert content_length(answer) is None
    answer.headers["Content-Range"] = f"bytes 5-9/{digits}"
    assert content_range(answer) == (None, None)


def endless(site: Site, request: Asked) -> None:
    """A body without a length that goes on until the other side leaves."""
    head(request, 200, {"Content-Type": "application/zip"})
    for _ in range(2000):  # 128 MB, should nobody leave
        request.wfile.write(DATA[: 1 << 16])


def test_a_body_without_end_ends_at_the_cards_size(site: Site, tmp_path: Path) -> None:
    with pytest.raises(TooMuch, match="more than the 1,000 bytes that the card says"):
        get(tmp_path, site.says(PATH, endless), bytes=1000)
    assert len(site.asked) == 1 and not list(tmp_path.iterdir())


def test_a_body_without_end_ends_at_a_cap_where_nobody_knows_its_size(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST", 1 << 20)
    with pytest.raises(TooMuch, match="more than the 1,048,576 bytes that this file can have"):
        get(tmp_path, site.says(PATH, endless))
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_while_the_file_comes_stops_it_and_keeps_the_part(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else fills it: so much that there was enough room when the file began."""
    asked = list[float]()

    def fuller(folder: Path, needed: float) -> None:
        asked.append(needed)
        if len(asked) > 2:
            raise DataError("the disk has 0.1 GB free")

    url = site.says(PATH, file(DATA))
    with monkeypatch.context() as patch:
        patch.setattr(limits, "LOOK", 1 << 16)
        patch.setattr(limits, "require_space", fuller)
        with pytest.raises(DataError, match="the disk has"):
            get(tmp_path, url)
    assert 0 < (tmp_path / ".set.zip.part").stat().st_size < len(DATA)
    assert get(tmp_path, url) == DATA and site.ranges(PATH)[1] is not None, "the part was not continued"


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "br", "zstd", "identity, gzip"])
def test_an_encoding_that_was_not_asked_for_is_refused(encoding: str, site: Site, tmp_path: Path) -> None:
    """1.5 MB of it can be 1.5 GB unpacked."""
    body = gzip.compress(bytes(1 << 20))
    with pytest.raises(DataError, match="which was not asked for"):
        get(tmp_path, site.says(PATH, status(200, body, Content_Encoding=encoding)))
    assert len(site.asked) == 1 and not list(tmp_path.iterdir())


REFUSED: dict[str, tuple[Answer, type[DataError], str, int]] = {
    "forbidden": (status(403), Absent, "HTTP 403 Forbidden", 1),
    "for members": (status(401), Absent, "HTTP 401 Unauthorized", 1),
    "not there": (status(404), Gone, "HTTP 404 Not Found", 1),
    "gone": (status(410), Gone, "HTTP 410 Gone", 1),
    "forbidden by law": (status(451), Gone, "HTTP 451", 1),
    "another refusal": (status(418), DataError, "HTTP 418", 1),
    "broken for ever": (status(500), ForNow, "HTTP 500", 3),
    "busy for ever": (status(429, Retry_After="0"), ForNow, "HTTP 429", 3),
    "busy until tomorrow": (status(429, Retry_After="86400"), ForNow, "HTTP 429", 1),
    "a login": (page(), Absent, "a web page instead of set.zip; a login or a quota", 1),
    "a login called a ZIP": (page("application/zip"), Absent, "a web page instead of set.zip", 1),
    "a login after blanks": (page("application/zip", b"\n\n  " + LOGIN_PAGE), Absent, "a web page", 1),
    "an error in JSON": (page("application/json", b'{"error": 1}'), Absent, "begins with b'{\"error\"'", 1),
    "too short a length": (file(DATA, says_length=1000), DataError, r"no whole ZIP \(1000 bytes\)", 1),
    "nothing": (file(b""), DataError, r"no whole ZIP \(0 bytes\)", 1),
    "truncated at the start": (file(DATA, stops_after=0), ForNow, "the connection broke off", 3),
    "stalled for ever": (file(DATA, stops_after=10, stalls=True), ForNow, "no data arrived for too long", 3),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_such_file_is_refused(what: str, site: Site, tmp_path: Path) -> None:
    answer, kind, why, requests = REFUSED[what]
    with pytest.raises(kind, match=why) as caught:
        get(tmp_path, site.says(PATH, answer), line=Line(replace(LONG, stall=0.3 if "stalled" in what else 120)))
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value) and site.url(PATH) in str(caught.value)
    assert len(site.asked) == requests
    assert not (tmp_path / "set.zip").exists()


@pytest.mark.parametrize(
    ("card", "why"),
    [
        ({"bytes": 17}, f"has {len(DATA)} bytes, the card says 17"),
        ({"sha256": "0" * 64}, "its card says 0000"),
        ({"md5": "0" * 32}, "MD5 .*, its card says 0000"),
        ({"locked": "0" * 64}, "it had 0000.* when it was first fetched"),
    ],
)
def test_a_file_that_is_not_the_known_one_is_refused_and_removed(
    card: dict[str, object], why: str, site: Site, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=why):
        get(tmp_path, site.says(PATH, file(DATA)), **card)
    assert not list(tmp_path.iterdir())
    known = {"bytes": len(DATA), "sha256": HASH, "md5": hashlib.md5(DATA).hexdigest(), "locked": HASH}
    assert get(tmp_path, site.url(PATH), **known) == DATA


def test_mirrors_stand_in_for_each_other(site: Site, tmp_path: Path) -> None:
    dead = site.says("/dead.zip", status(404))
    wrong = site.says("/wrong.zip", file(OTHER))
    good = site.says(PATH, file(DATA))
    assert get(tmp_path, dead, mirrors=(wrong, good), sha256=HASH) == DATA
    (tmp_path / "set.zip").unlink()
    with pytest.raises(ForNow, match=r"dead.zip: HTTP 404.*busy.zip: HTTP 503"):  # one may work later
        get(tmp_path, dead, mirrors=(site.says("/busy.zip", status(503)),))
    with pytest.raises(Gone, match=r"dead.zip: HTTP 404 Not Found$"):
        get(tmp_path, dead, mirrors=(dead,))
    with pytest.raises(Absent, match=r"dead.zip: HTTP 404.*no.zip: HTTP 403") as caught:
        get(tmp_path, dead, mirrors=(site.says("/no.zip", status(403)),))
    assert type(caught.value) is Absent


def test_a_part_from_one_address_is_not_continued_from_another(site: Site, tmp_path: Path) -> None:
    """Two servers may use one tag for different files."""
    first = site.says("/one.zip", file(OTHER, stops_after=200_000), status(404))
    assert get(tmp_path, first, mirrors=(site.says(PATH, file(DATA)),)) == DATA
    assert site.ranges(PATH) == [None]


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # taken, and not listened to
        with pytest.raises(ForNow, match="no connection"):
            get(tmp_path, f"http://127.0.0.1:{held.getsockname()[1]}/set.zip")


def test_a_file_larger_than_the_disk_is_not_begun(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"needs 9000000.0 GB and the disk has .* GB free; make room, or .*--cache"):
        get(tmp_path, site.says(PATH, file(DATA, says_length=9 * 10**15)))


def test_ctrl_c_stops_it_and_keeps_the_part(site: Site, tmp_path: Path) -> None:
    line = Line(LONG)

    def stop(site: Site, request: Asked) -> None:
        line.stopped.set()
        status(503)(site, request)

    url = site.says(PATH, file(DATA, stops_after=200_000), stop)
    with pytest.raises(DataError):
        get(tmp_path, url, line=line)
    assert len(site.asked) == 2, "asked again after Ctrl-C"
    assert (tmp_path / ".set.zip.part").stat().st_size > 100_000
    site.says(PATH, file(DATA))
    assert get(tmp_path, url) == DATA


def test_no_more_than_two_at_once_from_one_host(site: Site, tmp_path: Path) -> None:
    together = threading.Barrier(2, timeout=120)

    def answer(site: Site, request: Asked) -> None:
        together.wait()  # two come at once, or this fails
        file(DATA)(site, request)

    line, folder, errors = Line(LONG), tmp_path, list[DataError]()

    def one(number: int) -> None:
        try:
            wanted = RemoteFile(name=f"{number}.zip", url=site.says(f"/{number}.zip", answer))
            download(wanted, folder / wanted.name, line)
        except DataError as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len(list(folder.iterdir())) == 6
    assert site.most_at_once == 2


def test_a_file_that_is_whole_after_ctrl_c_waits_for_the_next_command(site: Site, tmp_path: Path) -> None:
    """Nobody would note where it came from."""
    line = Line(LONG)

    @contextmanager
    def stage(text: str, total: float) -> Iterator[Callable[[float], None]]:
        yield lambda n: None
        line.stopped.set()

    with pytest.raises(DataError, match="stopped"):
        download(RemoteFile(name="set.zip", url=site.says(PATH, file(DATA))), tmp_path / "set.zip", line, stage)
    assert [path.name for path in tmp_path.glob("*.zip")] == []
    assert get(tmp_path, site.url(PATH)) == DATA and len(site.asked) == 1
