"""A place outside this machine: a bucket, a server by ssh, a folder, memory; reached by fsspec.

What is written is read again and its checksum compared; what is read is bounded and compared before anybody sees it.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from metapt_explore.errors import UserError, library_errors, shortened
from metapt_explore.storage.files import in_place_of
from metapt_explore.storage.stage_file import FileSum, sum_of

#: Bytes that are copied at once, and bytes of a JSON file that are read at most.
CHUNK, MOST_JSON = 2**20, 64 * 2**20
#: Stores that write a whole file or nothing, and where renaming copies it.
OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "r2"})


class DamagedRemote(UserError):
    """A file of the other place is damaged, or nothing that was pushed; the message names it."""


class Remote:
    """A folder of another place.

    Args:
        url: Such as ``s3://bucket/studies``, ``ssh://host/folder``, ``memory://here``, or a path.

    Raises:
        UserError: Where the kind of address is not known, or its package is not installed.
    """

    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        self.shown = without_password(url)
        if "::" in url:
            raise UserError(f"{self.shown}: give one address, without '::'.")
        protocol = url.partition("://")[0] if "://" in url else "file"
        place = url if "://" in url else str(Path(url).expanduser().absolute())
        try:
            self._fs, self._root = url_to_fs(place)
        except ImportError as error:
            # fsspec says which package it takes.
            raise UserError(f"{self.shown} cannot be reached: {shortened(str(error), 300)}") from None
        except Exception as error:
            raise UserError(f"{self.shown} cannot be reached: {shortened(str(error), 300)}") from None
        self._whole_or_nothing = protocol in OBJECT_STORES

    def where(self, *parts: str) -> str:
        """Address of one of its files, for messages."""
        return "/".join([self.shown.rstrip("/"), *parts])

    def names(self, *parts: str) -> list[str]:
        """Names in one of its folders; none where it is missing."""
        with self._reaching(*parts):
            self._fs.invalidate_cache()
            try:
                listed = self._fs.ls(self._path(*parts), detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted({PurePosixPath(str(path).replace("\\", "/").rstrip("/")).name for path in listed})

    def size(self, *parts: str) -> int | None:
        """Bytes of one of its files; None where it is missing."""
        with self._reaching(*parts):
            self._fs.invalidate_cache()
            try:
                found = self._fs.info(self._path(*parts))
            except FileNotFoundError:
                return None
        return int(found["size"]) if found.get("type") == "file" and found.get("size") is not None else None

    def read_json(self, *parts: str) -> tuple[dict[str, Any], bytes] | None:
        """A JSON object and its bytes; None where there is no such file.

        Raises:
            DamagedRemote: Where it is none, or too large.
        """
        size = self.size(*parts)
        if size is None:
            return None
        with self._reaching(*parts), self._fs.open(self._path(*parts), "rb") as stream:
            content = bytes(stream.read(MOST_JSON + 1))
        try:
            if len(content) > MOST_JSON:
                raise ValueError("too large")
            tree = json.loads(content.decode())
        except (ValueError, RecursionError):
            tree = None
        if not isinstance(tree, dict):
            raise DamagedRemote(f"{self.where(*parts)} is damaged, or nothing that metapt pushed.")
        return tree, content

    def write(self, content: bytes, *parts: str) -> None:
        """Writes a small file, in place of one that is there."""
        with self._writing(*parts) as path, self._fs.open(path, "wb") as stream:
            stream.write(content)
        self._compare(sum_of(content), *parts)

    def holds(self, expected: FileSum, *parts: str, check: bool = False) -> bool:
        """Whether a file is there with its size; with `check` it is read, and its checksum compared."""
        if self.size(*parts) != expected["bytes"]:
            return False
        return not check or self._digest(*parts) == expected["sha256"]

    def upload(self, file: Path, expected: FileSum, *parts: str, check: bool = False) -> int:
        """Writes a file unless it is there (see `holds`); returns the bytes that were sent.

        Raises:
            DamagedRemote: Where what arrived is not what was sent.
        """
        if self.holds(expected, *parts, check=check):
            return 0
        with self._writing(*parts) as path, file.open("rb") as source, self._fs.open(path, "wb") as stream:
            while chunk := source.read(CHUNK):
                stream.write(chunk)
        self._compare(expected, *parts)
        return expected["bytes"]

    def download(self, file: Path, expected: FileSum, *parts: str) -> int:
        """Reads a file unless it is here already; returns the bytes that were fetched.

        Args:
            file: Where it goes; it appears under this name only with the checksum that is expected.
            expected: Its size and checksum.
            parts: Which file.

        Raises:
            DamagedRemote: Where it is missing or another.
        """
        digest, count = hashlib.sha256(), 0
        if file.is_file() and file.stat().st_size == expected["bytes"]:
            with file.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() == expected["sha256"]:
                    return 0
        with in_place_of(file) as temporary, temporary.open("wb") as target:
            for chunk in self._chunks(*parts):
                count += len(chunk)
                if count > expected["bytes"]:
                    break
                digest.update(chunk)
                target.write(chunk)
            if count != expected["bytes"] or digest.hexdigest() != expected["sha256"]:
                raise self._damaged(*parts)
        return count

    def _chunks(self, *parts: str) -> Iterator[bytes]:
        with self._reaching(*parts):
            try:
                stream = self._fs.open(self._path(*parts), "rb")
            except FileNotFoundError:
                raise DamagedRemote(f"{self.where(*parts)} is missing: push it again from where it was made.") from None
            with stream:
                while chunk := stream.read(CHUNK):
                    yield chunk

    def _digest(self, *parts: str) -> str:
        digest = hashlib.sha256()
        for chunk in self._chunks(*parts):
            digest.update(chunk)
        return digest.hexdigest()

    def _compare(self, expected: FileSum, *parts: str) -> None:
        if self._digest(*parts) != expected["sha256"]:
            with suppress(Exception):  # whoever comes next must not take it for sent
                self._fs.rm_file(self._path(*parts))
            raise DamagedRemote(f"{self.where(*parts)} did not arrive as it was sent: push again.")

    def _damaged(self, *parts: str) -> DamagedRemote:
        return DamagedRemote(
            f"{self.where(*parts)} is damaged: its content is not what was pushed. Delete it there and push again from "
            "where it was made; nothing of it was taken."
        )

    @contextmanager
    def _writing(self, *parts: str) -> Iterator[str]:
        """The name to write a file under; it has its own name once it is whole."""
        final = self._path(*parts)
        folder, _, name = final.rpartition("/")
        with self._reaching(*parts):
            if self._whole_or_nothing:
                yield final
                return
            self._fs.makedirs(folder, exist_ok=True)
            temporary = f"{folder}/.{name}.{uuid.uuid4().hex}.part"
            try:
                yield temporary
                self._fs.mv(temporary, final)
            except BaseException:
                with suppress(Exception):
                    self._fs.rm_file(temporary)
                raise

    @contextmanager
    def _reaching(self, *parts: str) -> Iterator[None]:
        """A sentence in place of whatever the place's own library raises."""
        with library_errors(lambda line: f"{self.where(*parts)} cannot be reached: {line}."):
            yield

    def _path(self, *parts: str) -> str:
        # Names were checked by whoever gives them; this holds whatever they did.
        if any(not part or part in (".", "..") or re.search(r"[/\\\0]", part) for part in parts):
            raise UserError(f"{self.shown}: '{shortened('/'.join(parts))}' is no name of a pushed file.")
        return "/".join([str(self._root).rstrip("/"), *parts])


def without_password(url: str) -> str:
    """An address for messages.

    Example:
        >>> without_password("ssh://me:secret@host/folder"), without_password("s3://bucket/a")
        ('ssh://me:…@host/folder', 's3://bucket/a')
    """
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    # Signatures and tokens stand in queries. A password may hold any sign, so all up to the last @ is its place.
    user, at, place = rest.rpartition("@")
    name, colon, _ = user.partition(":")
    return f"{scheme}://{name}{':…' if colon else ''}{at}{place.partition('?')[0]}"
