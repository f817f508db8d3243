"""Bytes on their way into a backup and out of it: hashed before and after encryption, in blocks, never held in memory as a whole.

Belongs here: hashing, age encryption, its keys. Does not: sources and targets of the bytes.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from trading_data.errors import BackupError, Refused, SettingError
from trading_data.operations.backup.target import BackupFolder
from trading_data.printable import counted

RECIPIENT = "TRADING_DATA_BACKUP_RECIPIENT"
"""age public keys (`age1…`, or SSH keys), separated by commas: backups are encrypted to each of them."""
IDENTITY = "TRADING_DATA_BACKUP_IDENTITY"
"""Path of the file with the age identity (`AGE-SECRET-KEY-1…`) that opens them."""
BLOCK = 1 << 20


class ByteSource(Protocol):
    """A source of bytes; an empty read is the end."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes."""


class Sink(Protocol):
    """A destination of bytes."""

    def write(self, data: bytes, /) -> Any:
        """Take all of them."""


@dataclass(frozen=True)
class StoredFile:
    """A file of a backup: its name in the backup's folder, and size and SHA-256 of the bytes stored and of the plain ones."""

    name: str
    size: int
    sha256: str
    plain_size: int
    plain_sha256: str


class _Tap:
    """Hashes and counts the bytes that pass. The first error is kept, since the encryption library passes on only its text."""

    def __init__(self, through: Any) -> None:
        self._through, self._hash = through, hashlib.sha256()
        self.size = 0
        self.error: BaseException | None = None

    def read(self, size: int = -1, /) -> bytes:
        return self._taken(lambda: self._through.read(size if size and size > 0 else BLOCK))

    def write(self, data: bytes, /) -> int:
        data_out = bytes(data)

        def put() -> bytes:
            if self._through is not None:
                self._through.write(data_out)
            return data_out

        return len(self._taken(put))

    def flush(self) -> None:
        """Nothing is held back."""

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def _taken(self, move: Callable[[], bytes]) -> bytes:
        try:
            data = move()
        except BaseException as error:
            self.error = self.error or error
            raise
        self._hash.update(data)
        self.size += len(data)
        return data


def store(target: BackupFolder, folder: str, name: str, source: ByteSource, recipients: list[Any]) -> StoredFile:
    """Write all bytes of `source` into a file of a backup, encrypted if there are recipients.

    Raises:
        BackupError: the target cannot be written, or the source broke off; the file may be incomplete.
    """
    plain = _Tap(source)
    with target.writing(f"{folder}/{name}") as file:
        stored = _Tap(file)
        _moved(plain, stored, (lambda: _age().encrypt_io(plain, stored, recipients)) if recipients else None)
    return StoredFile(name, stored.size, stored.sha256, plain.size, plain.sha256)


def fetch(target: BackupFolder, folder: str, file: StoredFile, sink: Sink | None, identities: list[Any] | None) -> None:
    """Read a file of a backup into `sink` (None: only check it), and check that it is as it was stored.

    Args:
        target: where backups lie.
        folder: the backup's.
        file: as the manifest has it.
        sink: gets the plain bytes, which are checked only when this returns, or by an earlier call with None.
        identities: keys for an encrypted backup (see `identities_for`); None to check only the stored bytes.

    Raises:
        Refused: the file is missing, cut short or changed, or no key decrypts it.
    """
    where = f"{file.name} of {folder}"
    try:
        with target.reading(f"{folder}/{file.name}") as opened:
            stored, plain = _Tap(opened), _Tap(sink)
            _unlocked(stored, plain, identities, where)
            while stored.read(BLOCK):  # decryption of a changed file may stop early
                pass
    except FileNotFoundError:
        raise Refused(
            f"{where} is missing: the backup is incomplete. Take another one: `trading-data backup --list`"
        ) from None
    if (stored.size, stored.sha256) != (file.size, file.sha256):
        raise Refused(
            f"{where} is damaged: {counted(stored.size, 'byte')} with hash {stored.sha256[:12]}, and it was stored as "
            f"{file.size:,} with "
            f"{file.sha256[:12]}. Take another backup: `trading-data backup --list`"
        )
    if identities is not None and (plain.size, plain.sha256) != (file.plain_size, file.plain_sha256):
        raise Refused(f"{where} does not decrypt to what was backed up: the manifest or the key is of another backup")


def recipients_of_environment() -> list[Any]:
    """The keys that backups are encrypted to, by the environment; empty for no encryption.

    Raises:
        SettingError: a key is invalid, or the package for it is not installed.
    """
    recipients = []
    for text in filter(None, map(str.strip, os.environ.get(RECIPIENT, "").split(","))):
        age = _age()
        kind = age.ssh if text.startswith("ssh-") else age.x25519
        try:
            recipients.append(kind.Recipient.from_str(text))
        except age.RecipientError as error:
            raise SettingError(f"{RECIPIENT} must be age public keys like age1…, not {text!r}: {error}") from error
    return recipients


def identities_for(encrypted: bool) -> list[Any]:
    """The keys that decrypt a backup; an empty list for an unencrypted one.

    Raises:
        SettingError: the environment names no file of keys, or one that cannot be read.
    """
    if not encrypted:
        return []
    path = os.environ.get(IDENTITY)
    if not path:
        raise SettingError(
            f"the backup is encrypted: set {IDENTITY} to the path of the age identity file that opens it"
        )
    age = _age()
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
        if "-----BEGIN" in text:
            return [age.ssh.Identity.from_buffer(text.encode())]
        lines = [line.strip() for line in text.splitlines()]
        identities = [age.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except (OSError, UnicodeDecodeError, age.IdentityError) as error:
        raise SettingError(f"{IDENTITY} must name a file of age identities (AGE-SECRET-KEY-1…): {error}") from error
    if not identities:
        raise SettingError(f"{IDENTITY} names a file without an age identity")
    return identities


def _unlocked(stored: _Tap, plain: _Tap, identities: list[Any] | None, where: str) -> None:
    if not identities:
        # Not encrypted, or only the stored bytes are checked.
        _moved(stored, plain, None)
        return
    age = _age()
    try:
        _moved(stored, plain, lambda: age.decrypt_io(stored, plain, identities))
    except age.DecryptError as error:
        raise Refused(
            f"{where} cannot be decrypted ({error}): it is damaged, or {IDENTITY} names the key of other backups"
        ) from error


def _moved(source: _Tap, sink: _Tap, through: Callable[[], Any] | None) -> None:
    """Move all bytes, through the encryption if there is one; errors of both ends are raised unchanged."""
    try:
        if through is not None:
            through()
            return
        while data := source.read(BLOCK):
            sink.write(data)
    except Exception:
        for tap in (source, sink):
            if tap.error is not None:
                raise tap.error from None
        raise


def _age() -> ModuleType:
    try:
        import pyrage
    except ImportError as error:
        raise SettingError(
            'encrypted backups need the Python package pyrage: pip install "trading_data[encryption]"'
        ) from error
    module: ModuleType = pyrage
    return module


__all__ = [
    "BLOCK",
    "IDENTITY",
    "RECIPIENT",
    "BackupError",
    "ByteSource",
    "Sink",
    "StoredFile",
    "fetch",
    "identities_for",
    "recipients_of_environment",
    "store",
]
