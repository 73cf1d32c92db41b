"""No key survives, whatever an address looks like; the words around it do."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.contract.base import visible
from engine.media.source import book
from engine.media.source.redacting import MOST, host, text, url

WORD = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12)
SECRET = st.integers(0).map(lambda n: "s3" + hashlib.sha256(str(n).encode()).hexdigest()[:14])
KEY = st.one_of(
    st.binary(min_size=10, max_size=40).map(lambda b: hashlib.sha256(b).hexdigest()[: 2 * len(b)]),
    st.binary().map(lambda b: base64.urlsafe_b64encode(hashlib.sha256(b).digest()).decode()),
    st.binary().map(lambda b: base64.b32encode(hashlib.sha256(b).digest()).decode()),
)
SCHEME = st.sampled_from(["http", "https", "ftp", "sftp", "udp", "HTTPS", "rtmp+tls"])
NOISE = st.text(st.characters(exclude_characters="\0"), max_size=30)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("https://user:pw@host.example:8443/a/b.mp4?sig=1#x", "https://host.example:8443/a/b.mp4"),
        ("http://tr.example/0123456789abcdef0123/announce", "http://tr.example/…/announce"),
        ("https://tr.example/x/Zm9vYmFyYmF6MTIzNDU2Nzg5MA/announce", "https://tr.example/x/…/announce"),
        ("https://a.example/Big_Buck_Bunny_1080p_surround_x264.avi",) * 2,
        ("https://a.example/how-to-install-linux-on-a-laptop-2026/",) * 2,
        ("https://a.example/@name/video/7123456789012345678",) * 2,
        ("https://cdn.example/My%20Film%20(2019).mkv",) * 2,
        ("https://xn--bcher-kva.example/x",) * 2,
        ("https://h.example/x;jsessionid=AB12/y", "https://h.example/x/y"),
        ("https://old.example/web/2020/https://u:pw@h.example/x?y", "https://old.example/web/2020/https://h.example/x"),
        ("https:\\\\u:pw@h.example\\x?y", "https://h.example/x"),
        ("http://[::1]:80/x?y", "http://[::1]:80/x"),
        ("data:image/png;base64,iVBORw0KGgo", "data:image/png"),
        ("blob:https://u:p@a.example/x?y", "blob:https://a.example/x"),
        (
            "magnet:?dn=x&xt=urn:btih:ABCDEF0123456789ABCDEF0123456789ABCDEF01&tr=http://t/key",
            "urn:btih:abcdef0123456789abcdef0123456789abcdef01",
        ),
        ("javascript:alert(document.cookie)", "javascript:"),
        ("about:internet", ""),
        ("from a friend? yes; by mail",) * 2,
        ("see https://u:p@h.example/x?y=z now, token=abc", "see https://h.example/x now, token=…"),
        ("to https%3A%2F%2Fu%3Ap%40h.example%2Fx%3Fy%3Dz or", "to https://h.example/x or"),
        (
            "get magnet:?xt=urn:btih:0123456789ABCDEF0123456789ABCDEF01234567&tr=http%3A%2F%2Ft",
            "get urn:btih:0123456789abcdef0123456789abcdef01234567",
        ),
        ("Passengers: the film; author: N.N.; password: …",) * 2,
    ],
)  # fmt: skip
def test_what_is_kept_of_an_address(told: str, kept: str) -> None:
    assert url(told) == kept


@given(SCHEME, st.tuples(WORD, WORD), st.tuples(SECRET, SECRET, SECRET, SECRET))
def test_no_credential_and_no_query_survives(
    scheme: str, words: tuple[str, str], secrets: tuple[str, str, str, str]
) -> None:
    (name, folder), (user, password, token, fragment) = words, secrets
    address = f"{scheme}://{user}:{password}@{name}.example/{folder}?{name}={token}#{fragment}"
    for told in (address, f"  {address}\n", f"words {address} words", f"view-source:{address}"):
        for shown in (url(told), text(told)):
            assert not any(secret in shown for secret in secrets)
            assert f"{name}.example/{folder}" in shown
    assert host(url(address)) == f"{name}.example"


@given(SECRET, SECRET, st.integers(1, 2), NOISE)
def test_nor_does_one_of_an_address_within_an_address(
    password: str, token: str, times: int, noise: str
) -> None:
    inner = f"https://me:{password}@inner.example/x?token={token}{noise}"
    for _ in range(times):
        inner = quote(inner, safe="", errors="replace")
    shown = url(f"https://outer.example/go/{inner}")
    assert password not in shown
    assert token not in shown


@given(KEY, WORD, st.sampled_from(["{}", "{}.mp4", "film-{}", "{}_x", "pass={}", ";{}"]))
def test_no_long_key_survives_in_a_path(key: str, word: str, form: str) -> None:
    shown = url(f"https://{word}.example/{word}/{form.format(key)}/announce")
    assert key.strip("=") not in shown
    assert shown.startswith(f"https://{word}.example/{word}/")


@given(st.text(), NOISE)
def test_whatever_it_is_it_ends_and_stays_what_it_is(told: str, noise: str) -> None:
    for one in (told, f"https://{told}", f"http://{noise}/{told}"):
        shown = url(one)
        assert len(shown) <= MOST
        assert url(shown) == shown


@given(st.text("abc/?#@:;.\\%20 ", min_size=3000, max_size=9000))
def test_a_long_one_is_cut_without_leaving_half_a_key(filling: str) -> None:
    key = hashlib.sha256(filling.encode()).hexdigest()
    told = ("https://h.example/" + filling.replace("?", "").replace("#", ""))[:8185] + "/" + key
    assert len(url(told)) <= MOST
    assert key[:6] not in url(told)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=30),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    ),
    st.text(max_size=50),
)
async def test_what_is_stored_was_redacted_and_is_visible_whoever_said_it(
    wild: object, noise: str
) -> None:
    said = f"https://me:hunter2@h.example/x{noise}?token=hunter3"
    row = {
        "kind": "url",
        "origin": said,
        "referrer": said,
        "confidence": 0.5,
        "evidence": {"a": said},
    }
    nowhere = {**row, "origin": "magnet:", "referrer": "from a friend"}
    assert not await book.prepared({1: [nowhere, {**row, "origin": wild, "referrer": ""}]})
    rows: list[Any] = [row, wild, {**row, "evidence": wild}, {**row, "confidence": wild}]
    told = await book.prepared({1: rows})
    assert told
    for _file, _at, kind, origin, referrer, confidence, evidence, where in told:
        assert kind == "url"
        assert 0 <= confidence <= 1
        for shown in (origin, referrer, where, *json.loads(evidence).values()):
            assert "hunter" not in shown
            assert shown == visible(shown)
