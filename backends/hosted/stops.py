"""Stop strings in an answer that comes token by token. Standard library only."""

from __future__ import annotations

from dataclasses import replace

from backends.hosted.runner import Token


class HeldBack:
    """Tokens whose text may be the beginning of a stop string wait until that is known."""

    def __init__(self, stops: list[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._waiting: list[Token] = []
        self.stopped = False

    def add(self, token: Token) -> list[Token]:
        """The tokens that may be told now; a stop string and what follows it never are."""
        self._waiting.append(token)
        text = "".join(each.text for each in self._waiting)
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            return _first(self._waiting, min(found))
        doubtful = max((_overlap(text, stop) for stop in self._stops), default=0)
        certain = len(text) - doubtful
        told = []
        while self._waiting and certain >= (length := len(self._waiting[0].text)):
            certain -= length
            told.append(self._waiting.pop(0))
        return told

    def rest(self) -> list[Token]:
        """All that wait."""
        tokens, self._waiting = self._waiting, []
        return tokens


def _overlap(text: str, stop: str) -> int:
    """How much of the end of ``text`` is the beginning of ``stop``, in characters."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)


def _first(tokens: list[Token], length: int) -> list[Token]:
    """The tokens of the first ``length`` characters; the last of them may be shortened."""
    kept = []
    for token in tokens:
        if length <= 0:
            break
        kept.append(replace(token, text=token.text[:length]))
        length -= len(token.text)
    return kept
