"""What rclone says went wrong: by its kind, whatever its words are, and without a secret."""

from __future__ import annotations

import pytest

from engine.contract.errors import NotFound, Unavailable
from engine.remotes.errors import Denied, RcloneFailed, explain

_PUT = 'Put "http://127.0.0.1:41/x/a.bin": '


@pytest.mark.parametrize(
    "said",
    [
        "dial tcp 127.0.0.1:9: connect: connection refused",
        "dial tcp 10.0.0.7:403: connect: connection refused",
        "dial tcp: lookup nas on 127.0.0.53:53: server misbehaving",
        "couldn't connect SSH: dial tcp 10.0.0.7:22: connect: host is down",
        "write tcp 127.0.0.1:5->127.0.0.1:6: use of closed network connection",
        "read tcp4 127.0.0.1:5->127.0.0.1:6: wsarecv: an existing connection was closed",
        _PUT + "EOF",
        _PUT + "http: server closed idle connection",
        _PUT + "net/http: HTTP/1.x transport connection broken: malformed status line",
        _PUT + "words that nobody has met yet",
        'Propfind "https://nas/x": context deadline exceeded',
        "connection lost",
        "file does not exist: unexpected EOF",
        "sftp: connection closed unexpectedly: broken pipe",
        "503 Service Unavailable: Service Unavailable",
        "googleapi: Error 502: Bad Gateway",
    ],
)
def test_no_answer_is_one_thing_in_many_words(said: str) -> None:
    error = explain(500, f"copy failed: {said}", "dav:x")
    assert isinstance(error, Unavailable)
    assert "dav:x does not answer" in error.message


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("401 Unauthorized", Denied),
        ("ssh: handshake failed: ssh: unable to authenticate", Denied),
        ('Post "https://oauth/token": oauth2: "invalid_grant" token expired', Denied),
        ("ssh: handshake failed: knownhosts: key mismatch", RcloneFailed),
        ('Get "https://nas/": tls: failed to verify certificate: x509: unknown', RcloneFailed),
        ("507 Insufficient Storage", RcloneFailed),
        ("corrupted on transfer: md5 hashes differ", RcloneFailed),
    ],
)
def test_an_answer_that_is_no_is_none_of_it(said: str, kind: type[Exception]) -> None:
    assert type(explain(500, said, "dav:x")) is kind


def test_what_is_not_there_is_said_to_be() -> None:
    assert isinstance(explain(404, "directory not found", "dav:x"), NotFound)
