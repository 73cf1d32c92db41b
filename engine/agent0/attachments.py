"""What a person attaches, as the texts that the model reads."""

from __future__ import annotations

from collections.abc import Sequence

from engine.contract.agent0 import MAX_ATTACHED, AssetAttachment, Attachment, TurnAttachment
from engine.contract.base import visible
from engine.contract.errors import Invalid
from engine.contract.ports import Attached, Catalogue, TurnLog
from engine.ground import Ground

_MAX_NAME = 200


async def read(
    ground: Ground, attachments: Sequence[Attachment], session: str
) -> tuple[Attached, ...]:
    """Each as a text, whole. Raises Invalid for too much of it, NotFound for an unknown file, or
    for a turn that is none of the session."""
    found: list[Attached] = []
    for one in attachments:
        if isinstance(one, AssetAttachment):
            found.append(await _asset(ground, one))
        elif isinstance(one, TurnAttachment):
            found += await _of_turn(ground, one.turn_id, session)
        else:
            found.append(Attached(visible(one.name), one.text))
    size = sum(len(one.text) for one in found)
    if size > MAX_ATTACHED:
        largest = max(found, key=lambda one: len(one.text))
        raise Invalid(
            f"The attachments are {size:,} characters long, at most {MAX_ATTACHED:,} are taken;"
            f" the longest is {largest.name} ({len(largest.text):,}).",
            "Attach a part of it, or ask in several questions.",
        )
    return tuple(found)


async def _of_turn(ground: Ground, turn_id: int, session: str) -> list[Attached]:
    turns = ground.use(TurnLog)  # type: ignore[type-abstract]
    await turns.parent(session, turn_id)  # Raises NotFound for a turn of another session.
    return (await turns.attached([turn_id])).get(turn_id, [])


async def _asset(ground: Ground, asset: AssetAttachment) -> Attached:
    try:
        path = asset.path.data
    except ValueError as error:
        raise Invalid("The path's raw form is not base64.", "Encode its bytes.") from error
    await ground.door.ensure("media")
    catalogue = ground.use(Catalogue)  # type: ignore[type-abstract]
    told = await catalogue.describe(asset.library, path)
    words = "\n".join(told.facts)
    text = f"{words}\n\n{told.text}" if told.text else words
    return Attached(f"{asset.library}: {told.name}"[:_MAX_NAME], text)
