"""Content credentials, as a real signer wrote them and as nobody should.

``signed.webp`` was made with the signing library of the C2PA; the other forms carry its manifest.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.media.source import cbor, credentials
from tests.fakes.costs import cpu_time

WEBP = (Path(__file__).parent / "signed.webp").read_bytes()
AT = WEBP.index(b"C2PA") + 8
MANIFEST = WEBP[AT : AT + struct.unpack_from("<I", WEBP, AT - 4)[0]]
CLAIM = {
    "program": "Paintbox 2.1",
    "title": "sample",
    "made by": "trainedAlgorithmicMedia",
    "agent": "Dream 3",
    "told by": "C2PA",
    "signature": "not verified",
}


def jpeg(manifest: bytes) -> bytes:
    """In segments of 1,000 bytes, each with the head of the box."""
    segments = b""
    head, rest = manifest[:8], manifest[8:]
    for number, start in enumerate(range(0, len(rest), 1000), 1):
        body = b"JP" + struct.pack(">HI", 1, number) + head + rest[start : start + 1000]
        segments += b"\xff\xeb" + struct.pack(">H", len(body) + 2) + body
    return b"\xff\xd8\xff\xe0\0\x04ab" + segments + b"\xff\xda\0\x02\xff\xd9"


def png(manifest: bytes) -> bytes:
    chunk = struct.pack(">I", len(manifest)) + b"caBX" + manifest + b"crc!"
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 1) + b"IHDRx" + b"crc!" + chunk


def mp4(manifest: bytes) -> bytes:
    name = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
    body = name + bytes(4) + b"manifest\0" + bytes(8) + manifest
    return b"\0\0\0\x10ftypisom\0\0\0\0" + struct.pack(">I", len(body) + 8) + b"uuid" + body


def webp(manifest: bytes) -> bytes:
    return WEBP[: AT - 4] + struct.pack("<I", len(manifest)) + manifest


FORMS = [jpeg, png, mp4, webp]


def read(tmp_path: Path, data: bytes) -> list[dict[str, Any]]:
    file = tmp_path / "file"
    file.write_bytes(data)
    fd = os.open(file, os.O_RDONLY)
    try:
        return credentials.read(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("form", FORMS)
def test_a_claim_is_told_and_never_as_proven(
    tmp_path: Path, form: Callable[[bytes], bytes]
) -> None:
    (row,) = read(tmp_path, form(MANIFEST))
    assert row["kind"] == "credentials"
    assert row["evidence"] == CLAIM
    assert row["confidence"] < 0.5
    assert read(tmp_path, WEBP) == [row]


def test_without_a_manifest_nothing_is_told(tmp_path: Path) -> None:
    for data in (b"", b"\xff\xd8\xff", b"RIFF", b"\x89PNG\r\n\x1a\n", mp4(b"")[:20], WEBP[:60]):
        assert read(tmp_path, data) == []


@given(st.data())
def test_broken_manifests_are_normal_input(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    broken = bytearray(MANIFEST)
    for _ in range(data.draw(st.integers(1, 5))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(broken)))
    form = data.draw(st.sampled_from(FORMS))
    for row in read(tmp_path_factory.getbasetemp(), form(bytes(broken[:cut]))):
        assert all(isinstance(told, str) for told in row["evidence"].values())


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def test_boxes_without_end_are_left(tmp_path: Path) -> None:
    nested = b""
    for _ in range(2000):
        nested = box(b"jumb", nested)
    many = box(b"c2pa", b"") * 50_000
    made = [form(manifest) for manifest in (nested, many, box(b"jumb", many)) for form in FORMS]
    assert cpu_time(lambda: [read(tmp_path, one) for one in made]) < 2


@pytest.mark.parametrize(
    "data",
    [
        b"\x81" * 1000,
        b"\x9f" * 1000,
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff" + b"\0" * 10_000,
        b"\xbf" + b"\0\0" * 10_000 + b"\xff",
        b"\x7b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x5f\x01\xff",
        b"\x1c",
        b"",
    ],
)
def test_cbor_that_hurts_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        cbor.loads(data)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("a26161016162820203", {"a": 1, "b": [2, 3]}),
        ("bf6346756ef563416d7421ff", {"Fun": True, "Amt": -2}),
        ("7f657374726561646d696e67ff", "streaming"),
        ("c074323031332d30332d32315432303a30343a30305a", "2013-03-21T20:04:00Z"),
        ("1b000000e8d4a51000", 1_000_000_000_000),
        ("83fb3ff199999999999af643010203", [None, None, b"\1\2\3"]),
    ],
)
def test_cbor_is_read_as_the_standard_says(data: str, value: object) -> None:
    assert cbor.loads(bytes.fromhex(data)) == value
