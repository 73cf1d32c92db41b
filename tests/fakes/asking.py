"""Questions to a backend, and its whole answers."""

from __future__ import annotations

from typing import Any

from engine.contract.backend import Backend, Generation, Message, Piece, Priority


def ask(text: str = "Hello", most: int = 50, **more: Any) -> Generation:
    """A question with at most so many tokens of answer."""
    return Generation((Message("user", text),), most, **more)


def background(session: str = "", most: int = 50) -> Generation:
    """A question that nobody waits for."""
    return ask(most=most, session=session, priority=Priority.BACKGROUND)


async def pieces_of(backend: Backend, generation: Generation | None = None) -> list[Piece]:
    """Every piece of the answer."""
    async with backend.stream(generation or ask()) as pieces:
        return [piece async for piece in pieces]


async def says(backend: Backend, generation: Generation | None = None) -> str:
    """The text of the answer."""
    return "".join([piece.text for piece in await pieces_of(backend, generation)])
