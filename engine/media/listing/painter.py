"""The process that makes small pictures: ``python -m engine.media.listing.painter MIB``.

Commands come as frames on stdin, answers go to where stdout was. What it decodes may be made to
break it: so it may take no more than its limits, writes nothing, and can be killed at any time.
"""

from __future__ import annotations

import base64
import logging
import os
import stat
import sys
import warnings
from typing import TYPE_CHECKING, Any

from engine.media.root import RootLostError, open_root
from engine.media.survey import streams
from engine.media.survey.trait import UnreadError
from engine.media.walk import Identity
from engine.worker import frames
from engine.worker.child import Output, be_quiet
from engine.worker.files import open_below
from engine.worker.frames import Frame, to_bytes
from engine.worker.limits import keep_stdout, limit, processor_time

if TYPE_CHECKING:
    from PIL.Image import Image

_OPEN_FILES = 64
_SECONDS = 4
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000", "ICO", "QOI", "PSD")
_HEIF = frozenset({"image/heic", "image/heif"})
_PIXELS = 60_000_000
"""A larger picture is not unpacked, unless its format can do so in small (JPEG)."""
_GROUND = (128, 128, 128)


class _NoPictureError(Exception):
    """Why there is none, in words."""


def answer(command: Frame) -> Frame:
    """The picture, or why there is none."""
    try:
        root_fd, _identity, _device = open_root(to_bytes(command["root"]))
    except RootLostError as error:
        return {"problem": str(error)}
    try:
        fd = open_below(root_fd, to_bytes(command["path"]))
    except OSError as error:
        return {"problem": error.strerror or str(error)}
    finally:
        os.close(root_fd)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or [*Identity.of(status)[:5]] != command["identity"]:
            return {"problem": "it is not what the catalogue knows: it changed"}
        with processor_time(_SECONDS), os.fdopen(os.dup(fd), "rb") as file:
            return _paint(file, command)
    except (_NoPictureError, UnreadError) as error:
        return {"problem": str(error)}
    except Exception as error:  # noqa: BLE001 - a decoder may raise anything
        return {"problem": f"it cannot be decoded: {error}"[:200]}
    finally:
        os.close(fd)


def _paint(file: Any, command: Frame) -> Frame:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise _NoPictureError("Pillow is not installed: make setup") from error
    Image.MAX_IMAGE_PIXELS = None  # Asked below, for each format in its own way.
    box = (command["width"], command["height"])
    if command["type"] in streams.TYPES:
        picture = _still(file, command["type"], box)
    else:
        formats = _with_heif() if command["type"] in _HEIF else [*_FORMATS]
        with Image.open(file, formats=formats) as image:
            image.draft("RGB", (box[0] * 2, box[1] * 2))
            _check(image.width, image.height)
            small = ImageOps.exif_transpose(_smaller(image, box))
        picture = _flat(small)
    picture.thumbnail(box)
    pixels = base64.b64encode(picture.tobytes()).decode("ascii")
    return {"width": picture.width, "height": picture.height, "pixels": pixels}


def _check(width: int, height: int) -> None:
    if width * height > _PIXELS:
        raise _NoPictureError("it has too many pixels to be unpacked")


def _still(file: Any, type_: str, box: tuple[int, int]) -> Image:
    """One that can be decoded by itself, a tenth of the film in: many begin in black."""
    with streams.opened(file, type_) as container:
        moving = (s for s in container.streams.video if not streams.is_cover(s))
        stream = next(moving, None)
        if stream is None:
            raise _NoPictureError("there is nothing to see in it")
        _check(stream.codec_context.width, stream.codec_context.height)
        stream.codec_context.thread_count = 1
        stream.codec_context.skip_frame = "NONKEY"
        if container.duration and container.duration > 0:
            container.seek(container.duration // 10)
        frame = next(container.decode(stream), None)
        if frame is None:
            raise _NoPictureError("there is nothing to see in it")
        _check(frame.width, frame.height)
        most = 2 * max(box)
        share = min(1.0, most / max(frame.width, frame.height))
        size = (max(1, round(frame.width * share)), max(1, round(frame.height * share)))
        picture: Image = frame.to_image(width=size[0], height=size[1])
        turned = round(frame.rotation)
        return picture.rotate(turned, expand=True) if turned % 360 else picture


def _with_heif() -> list[str]:
    try:
        import pillow_heif
    except ImportError as error:
        raise _NoPictureError("pillow-heif is not installed: make setup") from error
    pillow_heif.register_heif_opener()
    return ["HEIF"]


def _smaller(image: Image, box: tuple[int, int]) -> Image:
    """Twice as large as it is to be, whichever way it is turned; what belongs to it is kept."""
    most = 2 * max(box)
    image.thumbnail((most, most))
    return image


def _flat(image: Image) -> Image:
    """Three colours. What can be seen through lies on grey."""
    from PIL import Image as pillow  # noqa: N813

    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        above = image.convert("RGBA")
        ground = pillow.new("RGBA", above.size, (*_GROUND, 255))
        return pillow.alpha_composite(ground, above).convert("RGB")
    return image.convert("RGB")


def main() -> None:
    be_quiet()
    limit(int(sys.argv[1]), _OPEN_FILES)
    output = Output(keep_stdout())
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    while (command := frames.read(sys.stdin.buffer)) is not None:
        output.send(answer(command))


if __name__ == "__main__":
    main()
