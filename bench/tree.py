"""A folder with very many small files, as a scan meets them."""

from __future__ import annotations

from pathlib import Path

PER_FOLDER = 500


def plant(root: Path, files: int) -> Path:
    """Makes ``files`` files, each with a content of its own, in folders two deep."""
    for number in range(files):
        folder = root / f"{number // PER_FOLDER // 20:03}" / f"{number // PER_FOLDER:04}"
        if number % PER_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f"{number:06}.nfo").write_bytes(b"%d\n" % number)
    return root
