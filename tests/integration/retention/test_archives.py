"""A session goes into a file and comes back the same; nothing else comes in that way."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import zstandard
from sqlalchemy import delete, func, select, update
from sqlmodel import Session, col

from core.clock import utcnow
from core.errors import ArchiveRefused, NotFound, RestoreConflict, StorageUnavailable
from domains.retention import SCIENTIFIC, Operation
from models.cryoem.instructions.tables import Instruction
from models.cryoem.processing_tables import Measurement
from models.cryoem.tables import Acquisition, Hole, Square
from models.database import Database
from models.inbox import InboxMessage
from models.outbox import OutboxMessage
from models.retention.archive import files
from models.retention.archive.manifest import TABLES
from models.retention.tables import SessionRemoval, SessionRestore
from tasks.cryoem.exporting import export_session
from tasks.cryoem.importing import import_session
from tasks.retention import Retention
from tests.integration.api.played import hole_prediction, play
from tests.integration.retention.conftest import YEAR, grids
from tests.session_fixtures import Here, SmallSession

LIMIT = 2**30
#: What the database has no part in.
ON_ONE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def unpacked(path: Path) -> dict[str, bytes]:
    """Read an archive with Python's own reader."""
    plain = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}  # pyright: ignore[reportOptionalMemberAccess]


def content(path: Path) -> dict[str, bytes]:
    """Return what is in an archive but for when it was written."""
    found = unpacked(path)
    manifest = json.loads(found["manifest.json"])
    del manifest["exported_at"]
    return {**found, "manifest.json": json.dumps(manifest).encode()}


def packed(files: list[tuple[tarfile.TarInfo, bytes]], path: Path) -> Path:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info, data in files:
            tar.addfile(info, io.BytesIO(data))
    path.write_bytes(zstandard.ZstdCompressor().compress(plain.getvalue()))
    return path


def named(name: str, data: bytes, **more: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def forged(path: Path, table: str, change: Callable[[list[dict[str, Any]]], Any]) -> Path:
    """Change a table's rows in an archive, and its manifest so that it fits."""
    files = unpacked(path)
    manifest = json.loads(files["manifest.json"])
    for member in manifest["members"]:
        if member["name"][3:-6] == table:
            rows = [json.loads(line) for line in files[member["name"]].splitlines()]
            made = change(rows)
            lines = made if isinstance(made, bytes) else None
            data = lines or b"".join(json.dumps(row).encode() + b"\n" for row in rows)
            files[member["name"]] = data
            member["rows"], member["bytes"] = data.count(b"\n"), len(data)
            member["sha256"] = hashlib.sha256(data).hexdigest()
    files["manifest.json"] = json.dumps(manifest).encode()
    return packed([named(*one) for one in files.items()], path.with_name(f"{uuid4()}.tar.zst"))


async def test_what_was_deleted_comes_back_the_same(
    here: Here, lived: UUID, tmp_path: Path
) -> None:
    database = here.resources.database
    first = await export_session(database, lived, tmp_path / "first.tar.zst")
    assert {table for table, rows in first.rows.items() if rows} == {one.name for one in TABLES}
    now = utcnow() + 3 * YEAR
    done = await Retention(database, SCIENTIFIC).run(Operation.CLEANUP, now=now)
    assert done.tables["hole"] == 6
    # Others took numbers of messages meanwhile.
    await play(here, SmallSession(squares=1, holes=1, name="other"))

    back = await import_session(database, tmp_path / "first.tar.zst", limit=LIMIT)
    assert back.new["hole"] == 6
    assert back.new["prediction"] == first.rows["prediction"]
    second = await export_session(database, lived, tmp_path / "second.tar.zst")

    assert content(tmp_path / "second.tar.zst") == content(tmp_path / "first.tar.zst")
    assert second.digest == first.digest
    again = await import_session(database, tmp_path / "first.tar.zst", limit=LIMIT)
    assert again.new == {}
    assert again.rows == first.rows
    # It is kept as if it had ended when it came back, and can be deleted again.
    soon = await Retention(database, SCIENTIFIC).foresee(Operation.SESSIONS, now=now - 2 * YEAR)
    assert lived not in [one.grid_uuid for one in soon.sessions]
    gone = await Retention(database, SCIENTIFIC).run(Operation.SESSIONS, now=now)
    assert lived in [one.grid_uuid for one in gone.sessions]


async def test_new_messages_come_after_those_that_were_restored(
    here: Here, lived: UUID, tmp_path: Path
) -> None:
    database = here.resources.database
    await export_session(database, lived, tmp_path / "a.tar.zst")
    await Retention(database, SCIENTIFIC).run(Operation.CLEANUP, now=utcnow() + 3 * YEAR)
    await import_session(database, tmp_path / "a.tar.zst", limit=LIMIT)
    with database.reading() as session:
        before = session.scalar(select(func.max(col(InboxMessage.seq)))) or 0
    session = SmallSession()
    await here.send(hole_prediction(session, 101, 0.75))
    with database.reading() as reading:
        newest = reading.scalar(select(func.max(col(InboxMessage.seq)))) or 0
    assert newest > before


async def test_messages_of_others_with_the_numbers_of_the_archive_are_no_conflict(
    here: Here, lived: UUID, tmp_path: Path
) -> None:
    database = here.resources.database
    path = tmp_path / "a.tar.zst"
    exported = await export_session(database, lived, path)
    await Retention(database, SCIENTIFIC).run(Operation.CLEANUP, now=utcnow() + 3 * YEAR)
    # An archive counts its messages from 1, as this database's first session does.
    numbers = range(1, json.loads(unpacked(path)["manifest.json"])["numbers"] + 1)
    with database.transaction() as session:
        for number in numbers:
            session.add(
                Measurement(
                    message_seq=number,
                    name="total_motion",
                    micrograph_uuid=uuid4(),
                    value=7,
                    measured_at=utcnow(),
                    grid_uuid=uuid4(),
                    message_uuid=uuid4(),
                )
            )

    back = await import_session(database, path, limit=LIMIT)

    assert back.new["measurement"] == exported.rows["measurement"]
    assert (await export_session(database, lived, tmp_path / "b")).digest == exported.digest


async def test_a_restore_that_was_cut_off_goes_on(
    here: Here, lived: UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = here.resources.database
    monkeypatch.setattr("tasks.cryoem.importing._BATCH", 2)
    path = tmp_path / "a.tar.zst"
    exported = await export_session(database, lived, path)
    await Retention(database, SCIENTIFIC).run(Operation.CLEANUP, now=utcnow() + 3 * YEAR)

    class Killed(BaseException):
        pass

    for table, rows in (("hole", 4), ("inbox_message", 2), ("agent_log", 2)):

        def progress(what: str, done: int, at: tuple[str, int] = (table, rows)) -> None:
            if (what, done) == (f"{at[0]} restored", at[1]):
                raise Killed

        with pytest.raises(Killed):
            await import_session(database, path, limit=LIMIT, progress=progress)
        other = forged(path, "acquisition", lambda rows: rows[0].update(name="forged"))
        with pytest.raises(RestoreConflict, match="from another archive"):
            await import_session(database, other, limit=LIMIT)
    await import_session(database, path, limit=LIMIT)

    assert (await export_session(database, lived, tmp_path / "b")).digest == exported.digest
    with database.reading() as session:
        restore = session.get(SessionRestore, lived)
        assert restore
        assert restore.ended_at


async def test_rows_that_differ_are_named_and_nothing_is_written(
    here: Here, lived: UUID, tmp_path: Path
) -> None:
    database = here.resources.database
    path = tmp_path / "a.tar.zst"
    await export_session(database, lived, path)

    def change(session: Session) -> UUID:
        hole = session.scalars(select(Hole).order_by(col(Hole.uuid))).first()
        assert hole
        hole.quality = 0.125
        return hole.uuid

    hole = await database.write(change)
    with pytest.raises(RestoreConflict) as refused:
        await import_session(database, path, limit=LIMIT)
    assert refused.value.rows == (f"hole {hole}",)

    # Gone but for its acquisition, which another grid keeps.
    await Retention(database, SCIENTIFIC).run(Operation.CLEANUP, now=utcnow() + 3 * YEAR)
    acquisition = UUID(json.loads(unpacked(path)["02-acquisition.jsonl"])["uuid"])
    with database.transaction() as session:
        session.add(Acquisition(uuid=acquisition, name="renamed"))
    with pytest.raises(RestoreConflict) as refused:
        await import_session(database, path, limit=LIMIT)
    assert refused.value.rows == (f"acquisition {acquisition}",)
    assert await database.read(grids) == set()
    with database.transaction() as session:
        session.execute(delete(Acquisition))
    assert (await import_session(database, path, limit=LIMIT)).new["hole"] == 6


@ON_ONE
async def test_what_is_unfinished_is_archived_as_given_up(
    here: Here, lived: UUID, tmp_path: Path
) -> None:
    database = here.resources.database
    with database.transaction() as session:
        for table in (InboxMessage, OutboxMessage):
            session.execute(
                update(table)
                .where(col(table.key) == str(lived))
                .values(state="claimed", claimed_by="worker", lease_expires_at=utcnow(), fence=3)
            )
        session.execute(update(Instruction).values(status="sent", claimed_by="stream"))
    path = tmp_path / "a.tar.zst"
    await export_session(database, lived, path)
    files = {name[3:-6]: data for name, data in unpacked(path).items()}
    for table in ("inbox_message", "outbox_message"):
        rows = [json.loads(line) for line in files[table].splitlines()]
        assert {(one["state"], one["claimed_by"], one["fence"]) for one in rows} == {
            ("dead", None, 0)
        }
    told = [json.loads(line)["status"] for line in files["instruction"].splitlines()]
    assert set(told) == {"expired"}


@ON_ONE
async def test_retention_archives_a_session_before_it_deletes_it(
    here: Here, lived: UUID, tmp_path: Path
) -> None:
    database = here.resources.database
    now = utcnow() + 3 * YEAR
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StorageUnavailable, match="cannot be made"):
        await Retention(database, SCIENTIFIC, blocked).run(Operation.SESSIONS, now=now)
    assert await database.read(grids) == {lived}

    class Killed(BaseException):
        pass

    def progress(what: str, _rows: int) -> None:
        if what.endswith(": hole"):
            raise Killed

    folder = tmp_path / "archives"
    before = await export_session(database, lived, tmp_path / "before.tar.zst")
    with pytest.raises(Killed):
        await Retention(database, SCIENTIFIC, folder, progress).run(Operation.SESSIONS, now=now)
    later = now + timedelta(days=1)
    await Retention(database, SCIENTIFIC, folder).run(Operation.SESSIONS, now=later)

    (archive,) = folder.iterdir()  # none of what was left
    with database.reading() as session:
        removal = session.get(SessionRemoval, lived)
        assert removal
        assert removal.archive == str(archive)
        assert removal.archive_sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()
    back = await import_session(database, archive, limit=LIMIT)
    assert back.digest == before.digest
    assert content(archive) == content(tmp_path / "before.tar.zst")


@pytest.fixture
async def archive(here: Here, lived: UUID, tmp_path: Path) -> Path:
    """An archive of a session that is there no more."""
    path = tmp_path / "a.tar.zst"
    await export_session(here.resources.database, lived, path)
    await Retention(here.resources.database, SCIENTIFIC).run(
        Operation.CLEANUP, now=utcnow() + 3 * YEAR
    )
    return path


def _first(**values: Any) -> Callable[[list[dict[str, Any]]], None]:
    return lambda rows: rows[0].update(values)


#: Table, what is done to its rows, and what is said of it.
FORGERIES = {
    "unknown column": ("hole", _first(evil=1), "there is no column 'evil'"),
    "missing column": ("hole", lambda rows: rows[0].pop("square_uuid"), "square_uuid is missing"),
    "empty": ("hole", _first(square_uuid=None), "square_uuid is empty"),
    "no uuid": ("hole", _first(square_uuid="' OR 1=1"), "square_uuid has a value"),
    "no number": ("hole", _first(hole_id="7"), "hole_id has a value"),
    "too large": ("hole", _first(hole_id=2**63), "hole_id has a value"),
    "truth": ("hole", _first(hole_id=True), "hole_id has a value"),
    "naive moment": ("grid", _first(last_news_at="2026-01-01T00:00:00"), "last_news_at has"),
    "nul": ("grid", _first(name="a\0b"), "name has a value"),
    "half a character": ("grid", _first(name="\ud800"), "name has a value"),
    "foreign parent": ("hole", _first(square_uuid=str(uuid4())), "not in the archive"),
    "another grid": ("hole", _first(grid_uuid=str(uuid4())), "it is of another session"),
    "another's messages": ("inbox_message", _first(key=str(uuid4())), "of another session"),
    "another's owner": ("session_owner", _first(uuid=str(uuid4())), "of another session"),
    "work to do": ("outbox_message", _first(state="pending"), "still to be worked on"),
    "an order": ("instruction", _first(status="pending"), "still to be worked on"),
    "numbers beyond": ("prediction", _first(message_seq=10**9), "it names message"),
    "twice": ("hole", lambda rows: rows.append(rows[-1]), "twice there"),
    "no row": ("hole", lambda _: b"[1]\n", "it is no row"),
    "no json": ("hole", lambda _: b"{\n", "it is no JSON"),
    "nan": ("hole", lambda _: b'{"x": NaN}\n', "a number that is none"),
    "deep": ("hole", lambda _: b"[" * 100_000 + b"\n", "it is no JSON"),
    "digits": ("hole", lambda _: b"9" * 5_000 + b"\n", "it is no JSON"),
}


@ON_ONE
async def test_forged_rows_are_refused_and_nothing_is_written(here: Here, archive: Path) -> None:
    database = here.resources.database
    for what, (table, change, said) in FORGERIES.items():
        path = forged(archive, table, change)
        with pytest.raises(ArchiveRefused) as refused:
            await import_session(database, path, limit=LIMIT)
        assert said in str(refused.value), what
        assert f"{path} is refused. {table}" in str(refused.value), what
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Square)) == 0
        assert session.scalar(select(func.count()).select_from(SessionRestore)) == 0


@ON_ONE
async def test_files_that_are_no_whole_archive_are_refused(
    here: Here, archive: Path, tmp_path: Path
) -> None:
    database = here.resources.database
    files = unpacked(archive)
    manifest = json.loads(files["manifest.json"])
    rest = [named(name, data) for name, data in files.items() if name != "manifest.json"]
    hole = next(one["name"] for one in manifest["members"] if one["name"].endswith("-hole.jsonl"))

    def told(**values: Any) -> tuple[tarfile.TarInfo, bytes]:
        return named("manifest.json", json.dumps({**manifest, **values}).encode())

    def members(**values: Any) -> list[dict[str, Any]]:
        return [{**one, **(values if one["name"] == hole else {})} for one in manifest["members"]]

    def replaced(name: str, data: bytes, **more: Any) -> list[tuple[tarfile.TarInfo, bytes]]:
        return [
            one if one[0].name != hole else named(name, data, **more) for one in [told(), *rest]
        ]

    data = files[hole]
    bomb = b"\0" * 50_000_000
    broken = bytearray(archive.read_bytes())
    broken[len(broken) // 2] ^= 0xFF
    raw = {
        "not packed": (b"hello" * 200, "not packed with zstd"),
        "empty": (b"", "ends too early"),
        "cut off": (archive.read_bytes()[:-40], "ends too early|damaged|not packed"),
        "one bit": (bytes(broken), "is refused"),
        "not a tar": (zstandard.ZstdCompressor().compress(b"x" * 2_000), "no archive"),
        "bomb": (zstandard.ZstdCompressor().compress(bomb), "no archive"),
    }
    for what, (content_, said) in raw.items():
        (tmp_path / "raw").write_bytes(content_)
        with pytest.raises(ArchiveRefused, match=said):
            await import_session(database, tmp_path / "raw", limit=LIMIT)
        assert what
    link = {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}
    made = {
        "no manifest": (rest, "where manifest.json is to be"),
        "newer": ([told(revision="9999"), *rest], "Import it with Athanor .* or newer"),
        "other format": ([told(format=2), *rest], "which wrote it"),
        "other kind": ([told(kind="photo"), *rest], "kind: Input should be 'athanor-session'"),
        "path": (replaced("../../etc/passwd", data), "holds '../../etc/passwd' where"),
        "absolute": (replaced(f"/{hole}", data), "where"),
        "link": (replaced(hole, b"", **link), "where|size"),
        "path in manifest": (
            [told(members=members(name="../../x.jsonl")), *rest],
            "members.*name: String should match",
        ),
        "no table of ours": ([told(members=members(name="07-users.jsonl")), *rest], "other files"),
        "one more": ([told(), *rest, named("99-more.jsonl", b"x")], "more in it than"),
        "one less": ([told(), *rest[:-1]], "ends too early|no archive|damaged"),
        "wrong sum": ([told(members=members(sha256="0" * 64)), *rest], "checksum is wrong"),
        "wrong rows": ([told(members=members(rows=1)), *rest], "more than the manifest says"),
        "wrong size": ([told(members=members(bytes=9)), *rest], "size is not what"),
        "too large": ([told(members=members(bytes=2 * LIMIT)), *rest], "are accepted"),
        "other grid": ([told(grid_uuid=str(uuid4())), *rest], "another session|of which"),
        "long manifest": ([named("manifest.json", b" " * 2_000_000), *rest], "too long"),
        "hidden rows": (replaced(hole, data + bomb), "size is not what"),
    }
    for what, (list_, said) in made.items():
        path = packed(list_, tmp_path / f"{what}.tar.zst")
        with pytest.raises(ArchiveRefused, match=said):
            await import_session(database, path, limit=LIMIT)
    with pytest.raises(StorageUnavailable, match="cannot be read"):
        await import_session(database, tmp_path / "nowhere", limit=LIMIT)
    assert await database.read(grids) == set()


@ON_ONE
async def test_an_archive_is_written_whole_or_not_at_all(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "a.tar.zst"
    path.write_text("before")
    with pytest.raises(NotFound):
        await export_session(database, uuid4(), path)
    assert [one.name for one in tmp_path.iterdir() if not one.name.startswith("athanor.db")] == [
        path.name
    ]
    assert path.read_text() == "before"
    with pytest.raises(StorageUnavailable, match="cannot be written"):
        await export_session(database, uuid4(), tmp_path / "nowhere" / "a.tar.zst")


@ON_ONE
async def test_what_a_killed_export_left_is_removed_by_one_a_day_later(
    database: Database, tmp_path: Path
) -> None:
    left, at_work = tmp_path / ".athanor-export-left", tmp_path / ".athanor-export-at-work"
    for folder in (left, at_work):
        folder.mkdir()
        (folder / "01-hole.jsonl").write_text("{}")
    os.utime(left, times=(0, 0))
    with pytest.raises(NotFound):
        await export_session(database, uuid4(), tmp_path / "a.tar.zst")
    assert not left.exists()
    assert at_work.exists()


@ON_ONE
async def test_an_archive_that_changed_since_it_was_checked_is_refused(archive: Path) -> None:
    def read(path: Path, checked: list[bytes] | None = None) -> list[bytes]:
        with files.opened(path, limit=LIMIT, checked=checked) as opened:
            for _, lines in opened.members():
                for _line in lines:
                    pass
            return opened.pieces

    pieces = read(archive)
    assert pieces
    read(archive, checked=pieces)
    with pytest.raises(ArchiveRefused, match="changed while it was read"):
        read(forged(archive, "hole", _first(hole_id=7)), checked=pieces)
