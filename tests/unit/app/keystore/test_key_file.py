"""The key file and its backups: what damages, exposes or outlives them, and that no text shows a key."""

import errno
import io
import logging
import traceback
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import pytest
from rich.console import Console
from rich.pretty import pretty_repr
from rich.traceback import Traceback

from app.blobs.disk import Disk
from app.keystore.errors import KeyExists, KeyStoreDamaged, KeyStoreExposed, WrongPassphrase
from app.keystore.file import (
    BACKUP_MS,
    FileKeyStore,
    backups_expire_ms,
    create_key_store,
    expire_backups,
    open_key_store,
    restore_key_store,
)
from app.keystore.keys import AuthorityKey, NodeKey
from app.keystore.memory import SeededEntropy
from app.keystore.sealed_file import COST, KdfCost, new_seal
from app.keystore.secrets import new_secrets
from states.encoding import encode
from tests.attack.bad_input import said

CHEAP = KdfCost(memory_kib=128, iterations=1, lanes=1)
PASSPHRASE = "correct horse battery staple"
ENTROPY = SeededEntropy(b"node A")
DAY = 24 * 60 * 60 * 1_000
NOON = 1_795_348_800_000


def created(folder: Path, disk: Disk | None = None) -> FileKeyStore:
    entropy = SeededEntropy(b"node A")
    return create_key_store(folder / "keys", PASSPHRASE, entropy, cost=CHEAP, disk=disk)


def reopened(folder: Path, passphrase: str = PASSPHRASE) -> FileKeyStore:
    return open_key_store(folder / "keys", passphrase, ENTROPY)


def test_another_passphrase_is_told_from_a_damaged_file(tmp_path: Path) -> None:
    created(tmp_path)
    with pytest.raises(WrongPassphrase) as refused:
        reopened(tmp_path, PASSPHRASE + " ")
    said("passphrase", refused.value)


@pytest.mark.parametrize("passphrase", ["", "x" * 1_025])
def test_a_passphrase_has_a_length(tmp_path: Path, passphrase: str) -> None:
    with pytest.raises(ValueError, match="a passphrase has"):
        create_key_store(tmp_path / "keys", passphrase, ENTROPY, cost=CHEAP)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_cut_anywhere_is_damaged(tmp_path: Path) -> None:
    created(tmp_path)
    whole = (tmp_path / "keys").read_bytes()
    for size in range(0, len(whole), 13):
        (tmp_path / "keys").write_bytes(whole[:size])
        with pytest.raises(KeyStoreDamaged):
            reopened(tmp_path)


def test_a_file_with_any_bit_flipped_is_damaged(tmp_path: Path) -> None:
    created(tmp_path)
    whole = (tmp_path / "keys").read_bytes()
    for at in range(0, len(whole), 5):
        changed = whole[:at] + bytes((whole[at] ^ 1 << at % 8,)) + whole[at + 1 :]
        (tmp_path / "keys").write_bytes(changed)
        with pytest.raises(KeyStoreDamaged):
            reopened(tmp_path)


def test_a_file_altered_with_its_checksum_made_anew_opens_as_nothing(tmp_path: Path) -> None:
    created(tmp_path)
    body = (tmp_path / "keys").read_bytes()[:-32]
    refused = set[type[Exception]]()
    for at in range(0, len(body), 3):
        changed = body[:at] + bytes((body[at] ^ 1,)) + body[at + 1 :]
        (tmp_path / "keys").write_bytes(changed + sha256(changed).digest())
        with pytest.raises((KeyStoreDamaged, WrongPassphrase)) as refusal:
            reopened(tmp_path)
        refused.add(refusal.type)
    assert refused == {KeyStoreDamaged, WrongPassphrase}


def test_a_file_cannot_ask_for_a_costly_derivation(tmp_path: Path) -> None:
    entropy = SeededEntropy(b"x")
    seal = new_seal(PASSPHRASE, entropy, CHEAP)
    body = seal.seal(new_secrets(entropy))[:-32]
    cheap, dear = encode(CHEAP.memory_kib), encode(1 << 30)
    at = body.index(cheap)
    changed = body[:at] + dear + body[at + len(cheap) :]
    (tmp_path / "keys").write_bytes(changed + sha256(changed).digest())
    (tmp_path / "keys").chmod(0o600)
    with pytest.raises(KeyStoreDamaged, match="not in a form"):
        reopened(tmp_path)


def test_an_endless_file_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    created(tmp_path)
    monkeypatch.setattr("app.keystore.file.FILE_BYTES_MAX", 100)
    with pytest.raises(KeyStoreDamaged, match="longer"):
        reopened(tmp_path)


def test_the_default_cost_is_that_of_rfc_9106(tmp_path: Path) -> None:
    assert COST == (64 * 1_024, 3, 4)
    create_key_store(tmp_path / "keys", PASSPHRASE, ENTROPY)
    assert reopened(tmp_path).epochs() == ()


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    store = created(tmp_path / "new")
    store.new_epoch(1)
    store.backup_to(tmp_path / "new" / "backups", NOON)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new").rglob("*")}
    assert modes == {"keys": 0o600, "backups": 0o700, f"keys-{NOON}.backup": 0o600}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620])
def test_a_file_that_others_can_read_or_write_is_not_opened(tmp_path: Path, mode: int) -> None:
    created(tmp_path)
    (tmp_path / "keys").chmod(mode)
    with pytest.raises(KeyStoreExposed):
        reopened(tmp_path)


def test_a_folder_in_which_others_can_replace_the_file_is_refused(tmp_path: Path) -> None:
    created(tmp_path)
    tmp_path.chmod(0o777)
    with pytest.raises(KeyStoreExposed):
        reopened(tmp_path)


def test_a_file_is_never_replaced_by_a_new_one(tmp_path: Path) -> None:
    created(tmp_path)
    with pytest.raises(KeyExists):
        created(tmp_path)


def test_no_secret_lies_in_the_file_in_the_clear(tmp_path: Path) -> None:
    store = created(tmp_path)
    store.add_patient(b"ada")
    data = (tmp_path / "keys").read_bytes()
    assert b"ada" not in data
    assert not any(secret in data for secret in all_secrets(store))


class FailingDisk(Disk):
    """Fails at its nth write or sync, before or after it was carried out."""

    def __init__(self, fail_at: int, *, carried_out: bool) -> None:
        self._left = fail_at
        self._carried_out = carried_out

    def write(self, file: BinaryIO, data: bytes) -> None:
        self._step(lambda: super(FailingDisk, self).write(file, data))

    def sync(self, descriptor: int) -> None:
        self._step(lambda: super(FailingDisk, self).sync(descriptor))

    def _step(self, act: Callable[[], None]) -> None:
        self._left -= 1
        if self._left or self._carried_out:
            act()
        if not self._left:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("carried_out", [False, True], ids=["failed", "failed but carried out"])
@pytest.mark.parametrize("fail_at", [1, 2, 3])
def test_a_disk_that_fails_leaves_the_old_file_or_the_new_one(
    tmp_path: Path,
    fail_at: int,
    carried_out: bool,  # noqa: FBT001
) -> None:
    identity = created(tmp_path).public(NodeKey.IDENTITY)
    disk = FailingDisk(fail_at, carried_out=carried_out)
    store = open_key_store(tmp_path / "keys", PASSPHRASE, ENTROPY, disk)
    with pytest.raises(OSError, match="No space left"):
        store.new_epoch(1)
    assert store.epochs() == (), "what may be lost was never announced"
    assert reopened(tmp_path).public(NodeKey.IDENTITY) == identity
    assert reopened(tmp_path).epochs() in ((), (1,))
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]
    store.new_epoch(2)
    assert reopened(tmp_path).epochs() == (2,)


def test_what_a_crash_left_half_written_is_replaced(tmp_path: Path) -> None:
    store = created(tmp_path)
    (tmp_path / "keys.part").write_bytes(b"half")
    store.new_epoch(1)
    assert reopened(tmp_path).epochs() == (1,)
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


def test_backups_are_kept_seven_days_and_no_longer(tmp_path: Path) -> None:
    store, folder = created(tmp_path), tmp_path / "backups"
    for day in range(10):
        store.backup_to(folder, NOON + day * DAY)
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"keys-{NOON + day * DAY}.backup" for day in range(3, 10)]
    assert backups_expire_ms(folder) == NOON + 9 * DAY + BACKUP_MS
    expire_backups(folder, NOON + 9 * DAY + BACKUP_MS - 1)
    assert [path.name for path in folder.iterdir()] == [names[-1]]
    expire_backups(folder, NOON + 9 * DAY + BACKUP_MS)
    assert not list(folder.iterdir())
    assert backups_expire_ms(folder) is None


def test_other_files_in_the_backup_folder_are_left_alone(tmp_path: Path) -> None:
    store, folder = created(tmp_path), tmp_path / "backups"
    folder.mkdir()
    (folder / "keys-1.backup.txt").write_text("mine")
    store.backup_to(folder, NOON)
    expire_backups(folder, NOON + 2 * BACKUP_MS)
    assert [path.name for path in folder.iterdir()] == ["keys-1.backup.txt"]


def test_a_lost_file_is_restored_from_a_backup(tmp_path: Path) -> None:
    store = created(tmp_path)
    store.new_epoch(1)
    backup = store.backup_to(tmp_path / "backups", NOON)
    store.new_epoch(2)
    with pytest.raises(KeyExists):
        restore_key_store(backup, tmp_path / "keys", PASSPHRASE, ENTROPY)
    (tmp_path / "keys").unlink()
    restored = restore_key_store(backup, tmp_path / "keys", PASSPHRASE, ENTROPY)
    assert restored.epochs() == (1,)
    assert restored.public(NodeKey.IDENTITY) == store.public(NodeKey.IDENTITY)
    assert reopened(tmp_path).epochs() == (1,)


def test_a_backup_that_does_not_open_replaces_nothing(tmp_path: Path) -> None:
    store = created(tmp_path)
    backup = store.backup_to(tmp_path / "backups", NOON)
    with pytest.raises(WrongPassphrase):
        restore_key_store(backup, tmp_path / "other", "wrong", ENTROPY)
    backup.write_bytes(backup.read_bytes()[:-1])
    with pytest.raises(KeyStoreDamaged):
        restore_key_store(backup, tmp_path / "other", PASSPHRASE, ENTROPY)
    assert not (tmp_path / "other").exists()


def all_secrets(store: FileKeyStore) -> Iterator[bytes]:
    secrets = store._secrets
    yield from (secrets.box, secrets.lock, secrets.storage)
    yield from (each.seed for each in secrets.node)
    yield from (each.following for each in secrets.node if each.following)
    yield from (each.seed for each in secrets.epochs)
    yield from (each.seed for each in secrets.patients)


def shown(secret: bytes, text: str) -> bool:
    """Whether a quarter of the secret can be read in the text, in one of the ways bytes are printed."""
    part = secret[:8]
    forms = (part.hex(), repr(part)[2:-1], ", ".join(map(str, part)), str(int.from_bytes(part)))
    return any(form.lower() in text.lower() for form in forms)


def test_no_text_about_a_key_store_shows_a_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = created(tmp_path)
    store.add_patient(b"ada")
    store.new_epoch(1)
    store.prepare(NodeKey.IDENTITY)
    lock = store.derive_lock(b"l" * 16)
    secrets = store._secrets
    things: list[object] = [
        store, *vars(store).values(), vars(store), secrets, secrets.node, secrets.epochs, secrets.patients, lock,
        lock.signer, store._seal, store.box_with(store.box_public()), NodeKey.IDENTITY,
        AuthorityKey(b"ada", "did:key:z"), store._epochs[1], store._signers,
    ]  # fmt: skip
    texts = [caplog.text]
    with caplog.at_level(logging.DEBUG):
        for thing in things:
            logging.getLogger("test").info("%s %r", thing, thing)
            texts.append(pretty_repr(thing))
    texts += [caplog.text, failing_text(store)]
    hidden = [*all_secrets(store), lock.salt]
    assert len(hidden) == 11
    assert not [text for text in texts for secret in hidden if shown(secret, text)]
    assert shown(secrets.box, repr(secrets.box)), "the search itself finds what is shown"


def failing_text(store: FileKeyStore) -> str:
    """What a traceback prints, with the local variables of the frames that rich shows."""
    full = FailingDisk(1, carried_out=False)
    with_full_disk = open_key_store(store._path, PASSPHRASE, ENTROPY, full)
    calls: list[Callable[[], object]] = [
        lambda: with_full_disk.destroy_epoch(1),
        lambda: store.add_patient(b"ada"),
        lambda: store.new_epoch(1),
        lambda: store.destroy_epoch(9),
        lambda: store.unwrap_at_rest(b"\1" + bytes(80), b""),
        lambda: store.switch(NodeKey.READING_LOG),
    ]
    screen = io.StringIO()
    for call in calls:
        try:
            call()
        except Exception as failure:  # noqa: BLE001
            screen.write("".join(traceback.format_exception(failure)))
            rich = Traceback.from_exception(
                type(failure), failure, failure.__traceback__, show_locals=True
            )
            Console(file=screen, width=400).print(rich)
    return screen.getvalue()
