"""Pictures: dimensions and EXIF, through Pillow, and pillow-heif for HEIC. None is ever decoded."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from engine.media.survey import exif
from engine.media.survey.trait import Trait, UnreadError
from engine.media.survey.window import Window, buffered

if TYPE_CHECKING:
    from PIL.Image import Image

_OPENERS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/tiff": "TIFF",
    "image/bmp": "BMP",
    "image/avif": "AVIF",
    "image/jp2": "JPEG2000",
    "image/vnd.adobe.photoshop": "PSD",
    "image/vnd.microsoft.icon": "ICO",
    "image/qoi": "QOI",
    "image/vnd-ms.dds": "DDS",
}
_HEIF = frozenset({"image/heic", "image/heif"})
_RAW = frozenset({"image/x-canon-cr2", "image/x-olympus-orf", "image/x-panasonic-rw2"})
"""TIFF in all but name: Pillow cannot open them, but reads their first folder."""
TYPES = frozenset(_OPENERS) | _HEIF | _RAW

_HEIF_BYTES = 96 * 1024**2
"""libheif is handed the whole file; a telephone's picture has 2 MB."""


@cache
def _pillow() -> Any:
    """Raises UnreadError where Pillow is not installed."""
    try:
        from PIL import Image, TiffImagePlugin
    except ImportError as error:
        raise UnreadError(
            "Pillow is not installed, so its dimensions and EXIF are unknown: make setup"
        ) from error
    Image.preinit()
    Image.init()
    Image.MAX_IMAGE_PIXELS = None  # Its size is only told, nothing of it is unpacked.
    TiffImagePlugin.READ_LIBTIFF = False
    return Image


@cache
def _heif() -> Any:
    """Raises UnreadError where pillow-heif is not installed."""
    try:
        import pillow_heif
    except ImportError as error:
        raise UnreadError(
            "pillow-heif is not installed, so its dimensions and EXIF are unknown: make setup"
        ) from error
    pillow_heif.options.THUMBNAILS = False
    pillow_heif.options.DEPTH_IMAGES = False
    pillow_heif.options.AUX_IMAGES = False
    return pillow_heif


def read(trait: Trait, window: Window, size: int) -> None:
    """Raises UnreadError, and whatever a parser may raise."""
    kind, pillow = trait["type"], _pillow()
    if kind in _RAW:
        _raw(trait, window, pillow)
        return
    if kind in _HEIF:
        _heic(trait, window, size, pillow)
        return
    with pillow.open(buffered(window), formats=[_OPENERS[kind]]) as image:
        _tell(trait, image)


def _tell(trait: Trait, image: Image) -> None:
    width, height = image.size
    trait.size(width, height)  # Kept where the EXIF is broken.
    trait["container"] = str(image.format or "").lower()
    trait.tell("mode", image.mode)
    found = _exif(image)
    exif.tell(trait, found)
    if exif.turned(found):
        trait.size(height, width)
    if getattr(image, "is_animated", False):
        trait.tell("animated", "yes")


def _exif(image: Image) -> Any:
    """What stood in the header. ``image.getexif`` would unpack a whole PNG to look behind it."""
    if image.format == "TIFF":
        return image.getexif()
    found = _pillow().Exif()
    data = image.info.get("exif")
    if isinstance(data, bytes):
        found.load(data)
    return found


def _heic(trait: Trait, window: Window, size: int, pillow: Any) -> None:
    heif = _heif()
    if size > _HEIF_BYTES:
        raise UnreadError(f"larger than {_HEIF_BYTES // 1024**2} MiB")
    file = heif.open_heif(window.whole(), convert_hdr_to_8bit=False)
    width, height = file.size  # As it is shown: libheif turns it by itself.
    trait.size(width, height)
    trait["container"], trait["codecs"] = "heif", "hevc"
    if len(file) > 1:
        trait.tell("pictures", len(file))
    if data := file.info.get("exif"):
        found = pillow.Exif()
        found.load(data)
        exif.tell(trait, found)


def _raw(trait: Trait, window: Window, pillow: Any) -> None:
    """What the first folder says; a camera's own format is named by its type."""
    head = bytearray(window.whole(1024**2))
    if trait["type"] != "image/x-canon-cr2":
        head[2:4] = b"*\0"  # Olympus and Panasonic put their own mark here.
    found = pillow.Exif()
    found.load(b"Exif\0\0" + bytes(head))
    exif.tell(trait, found)
    width, height = found.get(256), found.get(257)
    if isinstance(width, int) and isinstance(height, int):
        trait.size(*((height, width) if exif.turned(found) else (width, height)))
