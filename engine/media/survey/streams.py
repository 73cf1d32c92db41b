"""Films and music, through PyAV (FFmpeg): container, codecs, duration, dimensions, tags.

FFmpeg is told which format it is. If it were to guess, a text that begins like a playlist would
make it open whatever addresses stand there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from engine.media.survey.trait import Trait, UnreadError, plain
from engine.media.survey.window import Window

_FORMATS = {
    "video/mp4": "mov",
    "video/quicktime": "mov",
    "video/3gpp": "mov",
    "audio/mp4": "mov",
    "image/x-canon-cr3": "mov",
    "video/matroska": "matroska",
    "video/webm": "matroska",
    "video/x-msvideo": "avi",
    "video/x-flv": "flv",
    "video/mpeg": "mpeg",
    "video/mp2t": "mpegts",
    "video/ogg": "ogg",
    "video/x-ms-wmv": "asf",
    "video/x-ivf": "ivf",
    "application/vnd.rn-realmedia": "rm",
    "audio/mpeg": "mp3",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "audio/aiff": "aiff",
    "audio/aac": "aac",
    "audio/ac3": "ac3",
    "audio/amr": "amr",
    "audio/x-ms-wma": "asf",
    "audio/x-ape": "ape",
    "audio/x-wavpack": "wv",
    "audio/x-caf": "caf",
    "audio/x-dsf": "dsf",
    "audio/x-tta": "tta",
    "audio/x-musepack": "mpc8",
    "audio/basic": "au",
}
TYPES = frozenset(_FORMATS)
_CONTAINERS = {
    "video/mp4": "mp4",
    "audio/mp4": "mp4",
    "video/3gpp": "3gp",
    "image/x-canon-cr3": "cr3",
    "video/webm": "webm",
}
"""What FFmpeg reads with one reader has several names."""

# How much is looked at before the streams are known: bytes, and microseconds of them.
_OPTIONS = {"probesize": "1000000", "analyzeduration": "1000000", "protocol_whitelist": "none"}
_LONGEST_MS = 366 * 24 * 3600 * 1000
_MOST_STREAMS = 64
_TAGS = {
    **{name: name for name in ("title", "artist", "album", "genre", "track", "comment")},
    **{name: name for name in ("album_artist", "composer", "copyright", "description", "encoder")},
    "show": "show",
    "season_number": "season",
    "episode_sort": "episode",
    "date": "date",
}
_MADE = ("com.apple.quicktime.creationdate", "creation_time")
_PLACES = ("com.apple.quicktime.location.iso6709", "location", "location-eng")
_ISO6709 = re.compile(r"([+-]\d{1,2}(?:\.\d{1,10})?)([+-]\d{1,3}(?:\.\d{1,10})?)")


@cache
def _av() -> Any:
    """Raises UnreadError where PyAV is not installed."""
    try:
        import av
        import av.logging
    except ImportError as error:
        raise UnreadError(
            "PyAV is not installed, so its duration and codecs are unknown: make setup"
        ) from error
    av.logging.set_level(None)
    return av


def opened(file: Any, type_: str) -> Any:
    """The container of a file of one of ``TYPES``. Raises UnreadError, and whatever a parser may
    raise."""
    return _av().open(
        file,
        format=_FORMATS[type_],
        options=_OPTIONS,
        metadata_errors="replace",
        buffer_size=64 * 1024,
    )


def read(trait: Trait, window: Window) -> None:
    """Raises UnreadError, and whatever a parser may raise."""
    with opened(window, trait["type"]) as container:
        trait["container"] = _CONTAINERS.get(trait["type"], _FORMATS[trait["type"]])
        streams = list(container.streams)[:_MOST_STREAMS]
        if not streams:
            raise UnreadError("there is nothing to play in it: damaged, or cut short?")
        _streams(trait, container, streams)
        _tags(trait, container.metadata)
        for stream in streams[:1]:  # Ogg has them there.
            _tags(trait, stream.metadata)


def _streams(trait: Trait, container: Any, streams: Sequence[Any]) -> None:
    codecs: list[str] = []
    languages: list[str] = []
    longest = _ms(container.duration, 1_000_000)
    moving = False
    for stream in streams:
        context = getattr(stream, "codec_context", None)
        name = plain(context.codec.canonical_name) if context is not None else ""
        longest = longest or _ms(stream.duration, 1 / stream.time_base if stream.time_base else 0)
        if stream.type == "subtitle":
            languages.append(plain(stream.metadata.get("language")) or "?")
        elif stream.type in {"video", "audio"} and name and name not in codecs:
            codecs.append(name)
        if stream.type == "video" and not is_cover(stream):
            moving = True
            _picture(trait, stream)
        elif stream.type == "audio" and context is not None:
            trait.tell("channels", context.channels)
            trait.tell("sample_rate", context.sample_rate)
    trait["codecs"] = ", ".join(codecs)
    if longest:
        trait["duration_ms"] = longest
    if languages:
        trait.tell("subtitles", ", ".join(languages))
    if container.bit_rate and 0 < container.bit_rate < 1e12:
        trait.tell("bit_rate", container.bit_rate)
    if trait["kind"] == "video" and codecs and not moving:
        trait["kind"] = "audio"  # A film's container with nothing to see in it.


def is_cover(stream: Any) -> bool:
    """An album's cover is a stream of one picture."""
    return bool(int(stream.disposition) & 0x400)


def _ms(duration: Any, per_second: Any) -> int:
    """0 where it is unknown, or nonsense."""
    if not duration or not per_second:
        return 0
    found = int(duration * 1000 / per_second)
    return found if 0 < found <= _LONGEST_MS else 0


def _picture(trait: Trait, stream: Any) -> None:
    if "width" in trait:
        return
    trait.size(stream.codec_context.width, stream.codec_context.height)
    rate = stream.average_rate
    if rate and 0 < rate < 10_000:
        trait.tell("frame_rate", f"{float(rate):.5g}")


def _tags(trait: Trait, metadata: Mapping[str, str]) -> None:
    tags = {str(key).lower()[:100]: value for key, value in list(metadata.items())[:500]}
    for tag, name in _TAGS.items():
        trait.tell(name, tags.get(tag))
    trait.camera(
        tags.get("com.apple.quicktime.make") or tags.get("make"),
        tags.get("com.apple.quicktime.model") or tags.get("model"),
    )
    for tag in _MADE:
        trait.taken(tags.get(tag, ""))
    for tag in _PLACES:
        if "latitude" not in trait and (match := _ISO6709.match(plain(tags.get(tag)))):
            trait.place(float(match[1]), float(match[2]))
