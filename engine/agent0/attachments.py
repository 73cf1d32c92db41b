"""What a person attaches, as the texts that the model reads."""

from __future__ import annotations

from collections.abc import Sequence

from engine.contract.agent0 import MAX_ATTACHED, AssetAttachment, Attachment
from engine.contract.base import visible
from engine.contract.errors import Invalid
from engine.contract.ports import Attached, Catalogue
from engine.ground import Ground

_MAX_NAME = 200


async def read(ground: Ground, attachments: Sequence[Attachment]) -> tuple[Attached, ...]:
    """Each as a text, whole. Raises Invalid for too much of it, NotFound for an unknown file."""
    found = [
        await _asset(ground, one)
        if isinstance(one, AssetAttachment)
        else Attached(visible(one.name), one.text)
        for one in attachments
    ]
    size = sum(len(one.text) for one in found)
    if size > MAX_ATTACHED:
        largest = max(found, key=lambda one: len(one.text))
        raise Invalid(
            f"The attachments are {size:,} characters long, at most {MAX_ATTACHED:,} are taken;"
            f" the longest is {largest.name} ({len(largest.text):,}).",
            "Attach a part of it, or ask in several questions.",
        )
    return tuple(found)


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
