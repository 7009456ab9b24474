"""The spool: nothing gets lost, nothing is doubled, and it says how much there is."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID, uuid5

import pytest

from agent.epu.api import MAX_BYTES, MAX_MESSAGES
from agent.epu.files import Signature
from agent.epu.outgoing import Batch, Outgoing
from agent.epu.remembered import Ending, FileRecord
from agent.epu.spool import Spool, SpoolFull
from core.errors import StorageUnavailable
from tests.conftest import ROOT
from tests.support import PATIENCE, wait_for

GRID = uuid5(UUID(int=0), "grid")
PLENTY = 1_000_000_000


def message(name: object, size: int = 10) -> Outgoing:
    return Outgoing(str(name), "epu.image", f"/data/{name}.xml", b"x" * size)


def many(count: int, size: int = 10) -> list[Outgoing]:
    return [message(number, size) for number in range(count)]


def record(name: str, size: int = 1) -> FileRecord:
    return FileRecord(GRID, Path(f"/data/{name}"), Signature(size, 7), b"digest")


def drained(spool: Spool) -> list[str]:
    """Deliver all that there is; return the ids in order."""
    ids: list[str] = []
    while (batch := spool.next_batch()) is not None:
        ids += [one.message_id for one in batch.messages]
        spool.delivered(batch)
    return ids


def formed(spool: Spool) -> Batch:
    batch = spool.next_batch()
    assert batch is not None
    return batch


def ids(messages: Sequence[Outgoing]) -> list[str]:
    return [one.message_id for one in messages]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state/spool.db"


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    with Spool.open(path, max_bytes=PLENTY) as opened:
        yield opened


def test_messages_leave_in_the_order_in_which_they_came(spool: Spool):
    for number in range(0, 1_200, 100):
        spool.put([message(number + i) for i in range(100)])
    assert drained(spool) == [str(number) for number in range(1_200)]
    assert spool.depth().messages == 0


def test_a_batch_is_bounded_in_count_and_size(spool: Spool):
    spool.put(many(MAX_MESSAGES + 1))
    first = spool.next_batch()
    assert first is not None
    assert len(first.messages) == MAX_MESSAGES
    spool.delivered(first)
    drained(spool)
    spool.put(many(3, MAX_BYTES // 2))
    batch = formed(spool)
    assert len(batch.messages) == 1


def test_a_message_larger_than_a_batch_goes_alone(spool: Spool):
    spool.put([message("a"), message("b", MAX_BYTES + 1), message("c")])
    sizes = []
    while (batch := spool.next_batch()) is not None:
        sizes.append(ids(batch.messages))
        spool.delivered(batch)
    assert sizes == [["a"], ["b"], ["c"]]


def test_a_batch_keeps_its_key_until_it_is_delivered_whatever_comes(path: Path):
    with Spool.open(path, max_bytes=PLENTY) as spool:
        spool.put(many(3))
        first = spool.next_batch()
        spool.put([message("later")])
        assert spool.next_batch() == first
    with Spool.open(path, max_bytes=PLENTY) as spool:
        again = spool.next_batch()
        assert again == first
        assert again is not None
        spool.delivered(again)
        last = spool.next_batch()
        assert last is not None
        assert ids(last.messages) == ["later"]
        assert last.key != again.key


def test_a_message_put_twice_is_there_once(spool: Spool):
    spool.put(many(3))
    spool.put(many(4))
    assert drained(spool) == ["0", "1", "2", "3"]


def test_a_refused_message_is_set_aside_with_its_reason_and_the_others_go_on(spool: Spool):
    spool.put(many(5))
    batch = formed(spool)
    spool.refuse(batch, {1: "odd", 3: "too odd"}, [message("report")])
    rest = spool.next_batch()
    assert rest is not None
    assert rest.key != batch.key
    assert drained(spool) == ["0", "2", "4", "report"]
    assert {one.message_id: one.reason for one in spool.dead()} == {"1": "odd", "3": "too odd"}
    assert (spool.depth().messages, spool.depth().dead) == (0, 2)


def test_a_halved_batch_is_two_batches_with_keys_of_their_own(spool: Spool):
    spool.put(many(5))
    batch = formed(spool)
    spool.halve(batch)
    parts = []
    while (part := spool.next_batch()) is not None:
        parts.append(part)
        spool.delivered(part)
    assert [ids(part.messages) for part in parts] == [["0", "1"], ["2", "3", "4"]]
    assert len({batch.key, *(part.key for part in parts)}) == 3


def test_refused_messages_are_sent_again_after_all_else_when_a_person_says_so(spool: Spool):
    spool.put(many(3))
    batch = formed(spool)
    spool.refuse(batch, {0: "odd"})
    assert spool.retry() == 1
    spool.put([message("new")])
    assert drained(spool) == ["1", "2", "0", "new"]
    assert spool.dead() == []


def test_what_is_refused_may_be_discarded(spool: Spool):
    spool.put(many(2))
    batch = formed(spool)
    spool.refuse(batch, {0: "odd"})
    assert spool.discard() == 1
    assert drained(spool) == ["1"]
    assert (spool.depth().bytes, spool.depth().dead) == (0, 0)


def test_a_full_spool_takes_nothing_and_evicts_nothing(path: Path):
    with Spool.open(path, max_bytes=1_000) as spool:
        spool.put(many(9, 100))
        with pytest.raises(SpoolFull, match="SPOOL_MAX_BYTES"):
            spool.put([message("a", 100), message("b", 100)], files=[record("a")])
        assert spool.recall(GRID).files == ()
        assert drained(spool) == [str(number) for number in range(9)]
        spool.put([message("a", 100), message("b", 100)])
        assert drained(spool) == ["a", "b"]


def test_one_message_above_the_limit_does_not_stop_everything(path: Path):
    with Spool.open(path, max_bytes=1_000) as spool:
        spool.put([message("huge", 5_000)])
        with pytest.raises(SpoolFull):
            spool.put([message("next")])
        assert drained(spool) == ["huge"]


def test_files_are_remembered_with_their_messages_over_a_restart(path: Path):
    odd = Path(os.fsdecode(b"/data/\xff odd.xml"))
    with Spool.open(path, max_bytes=PLENTY) as spool:
        spool.put([message("a")], files=[record("a"), record("b")])
        spool.put([message("c")], files=[record("a", size=2)])
        spool.put([message("d")], files=[FileRecord(GRID, odd, Signature(3, 4), b"d")])
        spool.put([message("end")], ending=Ending(GRID, 7, 9))
    with Spool.open(path, max_bytes=PLENTY) as spool:
        remembered = spool.recall(GRID)
        assert {(one.path, one.signature.size) for one in remembered.files} == {
            (Path("/data/a"), 2),
            (Path("/data/b"), 1),
            (odd, 3),
        }
        assert remembered.ending == Ending(GRID, 7, 9)
        assert remembered.last_news is not None
        assert spool.recall(UUID(int=5)).last_news is None


def test_files_are_forgotten_when_told_so_or_after_long_and_messages_stay(spool: Spool):
    spool.put([message("a")], files=[record("a")], ending=Ending(GRID, 7))
    assert spool.forget_files(silent_since=0.0) == 0
    assert spool.forget_files() == 1
    assert spool.recall(GRID).ending is None
    assert drained(spool) == ["a"]


def test_another_api_is_told_everything(spool: Spool):
    assert spool.serve("http://one") is False
    spool.put([message("a")], files=[record("a")])
    assert spool.serve("http://one") is False
    assert len(spool.recall(GRID).files) == 1
    assert spool.serve("http://two") is True
    assert spool.recall(GRID).files == ()
    assert drained(spool) == ["a"]


def test_it_may_be_looked_at_while_it_is_in_use(spool: Spool, path: Path):
    spool.put(many(3))
    with Spool.peek(path) as looked:
        assert looked.depth() == spool.depth()
        with pytest.raises(StorageUnavailable):
            looked.discard()
    assert spool.depth().messages == 3


def test_there_is_nothing_to_look_at_where_none_was_made(tmp_path: Path):
    with pytest.raises(StorageUnavailable):
        Spool.peek(tmp_path / "absent.db")


@pytest.mark.parametrize("damage", ["replaced", "cut off"])
def test_a_damaged_file_is_kept_aside_and_a_new_one_begun(path: Path, damage: str):
    with Spool.open(path, max_bytes=PLENTY) as spool:
        spool.put(many(50, 1_000))
    whole = path.read_bytes()
    broken = b"no database" * 500 if damage == "replaced" else whole[: len(whole) // 2]
    path.write_bytes(broken)
    with Spool.open(path, max_bytes=PLENTY) as spool:
        spool.put(many(2))
        assert drained(spool) == ["0", "1"]
    [aside] = path.parent.glob("spool.db.damaged-*")
    assert aside.read_bytes() == broken


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailable, match="cannot be made"):
        Spool.open(tmp_path / "file/state/spool.db", max_bytes=PLENTY)


def test_several_threads_lose_and_double_nothing(spool: Spool):
    def put(first: int) -> None:
        for number in range(first, first + 200, 10):
            spool.put([message(number + i) for i in range(10)])

    threads = [threading.Thread(target=put, args=(first,)) for first in range(0, 800, 200)]
    got: list[str] = []
    for thread in threads:
        thread.start()
    while len(got) < 800:
        got += drained(spool)
    for thread in threads:
        thread.join()
    assert sorted(got, key=int) == [str(number) for number in range(800)]


_WRITER = """
import sys
from pathlib import Path
from agent.epu.outgoing import Batch, Outgoing
from agent.epu.spool import Spool
with Spool.open(Path(sys.argv[1]), max_bytes=10**9) as spool:
    for number in range(10**6):
        spool.put([Outgoing(f"{number}-{i}", "k", "p", b"x" * 500) for i in range(5)])
        print(number, flush=True)
"""


def test_kill_9_loses_nothing_that_was_put_and_tears_nothing(path: Path):
    said = path.parent.parent / "said"
    with said.open("w") as output:
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], cwd=ROOT, stdout=output
        )
    try:
        wait_for(lambda: said.read_text().count("\n") >= 20, what="some writing")
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait(PATIENCE)
    told = int(said.read_text().rpartition("\n")[0].rpartition("\n")[2])
    with Spool.open(path, max_bytes=PLENTY) as spool:
        got = drained(spool)
    whole = [f"{number}-{i}" for number in range(len(got) // 5) for i in range(5)]
    assert got == whole
    assert len(got) // 5 in (told + 1, told + 2)
