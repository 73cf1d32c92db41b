"""Real files, made here: pictures by Pillow and pillow-heif, films and music by PyAV."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

CAMERA = "Canon EOS R5"
TAKEN_NS = 1_714_972_089_120_000_000
"""2024-05-06 07:08:09.12 +02:00."""
PARIS = (48.8581944, 2.2944444)


def exif() -> Any:
    """What a camera writes; orientation 6: the picture lies on its side."""
    from PIL import Image

    found = Image.Exif()
    found[271], found[272], found[274] = "Canon", CAMERA, 6
    found[315] = "A\x1b[31m N\u00f6body"
    photo = found.get_ifd(0x8769)
    photo[36867], photo[36881], photo[37521] = "2024:05:06 07:08:09", "+02:00", "12"
    photo[33437], photo[34855], photo[42036] = 2.8, 400, "RF24-70mm F2.8"
    gps = found.get_ifd(0x8825)
    gps[1], gps[2] = "N", (48.0, 51.0, 29.5)
    gps[3], gps[4] = "E", (2.0, 17.0, 40.0)
    return found


@cache
def picture(form: str, *, with_exif: bool = True) -> bytes:
    """64 × 48 pixels, in a format of Pillow's, HEIF among them."""
    import pillow_heif
    from PIL import Image

    pillow_heif.register_heif_opener()
    try:
        image = Image.new("RGB", (64, 48), (200, 30, 30))
        target = io.BytesIO()
        more = {"exif": exif().tobytes()} if with_exif else {}
        image.save(target, form, **more)
    finally:
        Image.OPEN.pop("HEIF", None)
    return target.getvalue()


@cache
def film(form: str = "mp4", video: str = "mpeg4", audio: str | None = "aac") -> bytes:
    """A second of grey at 160 × 90 with silence beside it."""
    import av

    target = io.BytesIO()
    with av.open(target, "w", format=form) as container:
        container.metadata["title"] = "Dune\x1b[31m"
        container.metadata["creation_time"] = "2024-05-06T05:08:09.120000Z"
        container.metadata["location"] = "+48.8582+002.2944/"
        picture = container.add_stream(video, rate=25)
        picture.width, picture.height, picture.pix_fmt = 160, 90, "yuv420p"
        sound = _sound(container, audio) if audio else None
        for number in range(25):
            frame = av.VideoFrame(160, 90, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([128]) * plane.buffer_size)
            frame.pts = number
            container.mux(picture.encode(frame))
        container.mux(picture.encode())
        if sound is not None:
            _silence(container, sound)
    return target.getvalue()


@cache
def music(form: str, codec: str) -> bytes:
    """A second of silence, with tags."""
    import av

    target = io.BytesIO()
    with av.open(target, "w", format=form) as container:
        container.metadata.update({"title": "Blue", "artist": "Nobody", "date": "1959"})
        _silence(container, _sound(container, codec))
    return target.getvalue()


def _sound(container: Any, codec: str) -> Any:
    stream = container.add_stream(codec, rate=48_000 if codec == "libopus" else 44_100)
    stream.codec_context.layout = "mono"
    stream.codec_context.format = stream.codec_context.codec.audio_formats[0]
    return stream


def _silence(container: Any, stream: Any) -> None:
    import av

    context = stream.codec_context
    rate, step = context.sample_rate, 960
    fifo = av.AudioFifo()
    for start in range(0, rate, step):
        frame = av.AudioFrame(context.format.name, "mono", step)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        frame.sample_rate, frame.pts = rate, start
        fifo.write(frame)
    context.open(strict=False)
    size = context.frame_size or step
    while (part := fifo.read(size)) is not None:
        container.mux(stream.encode(part))
    container.mux(stream.encode())


@cache
def paper() -> bytes:
    """A PDF of three pages, with a title and an author."""
    from pypdf import PdfWriter

    writer = PdfWriter()
    for _ in range(3):
        writer.add_blank_page(200, 200)
    writer.add_metadata(
        {"/Title": "The Spice", "/Author": "N.N.", "/CreationDate": "D:20240506070809+02'00'"}
    )
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def zipped(*names: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in names:
            archive.writestr(name, "application/epub+zip" if name == "mimetype" else "x" * 5000)
    return target.getvalue()


MADE: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "jpeg": (lambda: picture("JPEG"), "image/jpeg", "image"),
    "png": (lambda: picture("PNG"), "image/png", "image"),
    "webp": (lambda: picture("WEBP"), "image/webp", "image"),
    "tiff": (lambda: picture("TIFF"), "image/tiff", "image"),
    "gif": (lambda: picture("GIF", with_exif=False), "image/gif", "image"),
    "bmp": (lambda: picture("BMP", with_exif=False), "image/bmp", "image"),
    "heic": (lambda: picture("HEIF"), "image/heic", "image"),
    "avif": (lambda: picture("AVIF"), "image/avif", "image"),
    "mp4": (film, "video/mp4", "video"),
    "mov": (lambda: film("mov"), "video/quicktime", "video"),
    "mkv": (lambda: film("matroska", audio="ac3"), "video/matroska", "video"),
    "webm": (lambda: film("webm", "libvpx-vp9", "libopus"), "video/webm", "video"),
    "avi": (lambda: film("avi", audio=None), "video/x-msvideo", "video"),
    "ts": (lambda: film("mpegts", "mpeg2video", "mp2"), "video/mp2t", "video"),
    "m4a": (lambda: music("ipod", "aac"), "audio/mp4", "audio"),
    "mp3": (lambda: music("mp3", "libmp3lame"), "audio/mpeg", "audio"),
    "flac": (lambda: music("flac", "flac"), "audio/flac", "audio"),
    "ogg": (lambda: music("ogg", "libopus"), "audio/ogg", "audio"),
    "wav": (lambda: music("wav", "pcm_s16le"), "audio/wav", "audio"),
    "aac": (lambda: music("adts", "aac"), "audio/aac", "audio"),
    "pdf": (paper, "application/pdf", "document"),
    "epub": (lambda: zipped("mimetype", "OEBPS/a"), "application/epub+zip", "document"),
    "zip": (lambda: zipped("a", "b"), "application/zip", "archive"),
}
"""Every sample: how it is made, the type that it is of, and its kind."""


def write_all(folder: Path) -> None:
    """Each of them under a name that says something else."""
    for name, (make, _type, _kind) in MADE.items():
        (folder / f"{name}.txt").write_bytes(make())
