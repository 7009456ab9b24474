import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.recorder import stream
from agent.recorder.stream import read_document
from core.errors import RecordingRefused

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


def read(folder: Path, text: str | bytes) -> list[tuple[str, Any]]:
    path = folder / "recording.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_document(path))


@given(
    metadata=st.dictionaries(st.text(max_size=5), _JSON),
    events=st.lists(_JSON, max_size=6),
    extra=_JSON,
    indent=st.sampled_from([None, 2]),
    ascii_only=st.booleans(),
    piece=st.integers(1, 40),
)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
def test_events_come_out_as_json_has_them_however_it_is_cut(
    tmp_path: Path, metadata: dict, events: list, extra: Any, indent: Any, ascii_only: bool, piece
):
    whole = {"extra": extra, "metadata": metadata, "events": events, "more": extra}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "_READ", piece)
        found = read(tmp_path, json.dumps(whole, indent=indent, ensure_ascii=ascii_only))
    assert found == [("metadata", metadata), *(("event", event) for event in events)]


def test_events_may_come_before_the_metadata(tmp_path: Path):
    found = read(tmp_path, '{"events": [1, 2], "metadata": {"version": "2.0"}}')
    assert [kind for kind, _ in found] == ["event", "event", "metadata"]


def test_a_byte_order_mark_is_no_content(tmp_path: Path):
    assert read(tmp_path, b'\xef\xbb\xbf{"events": []}') == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"events"}',
        '{"events": {}}',
        '{"events": [1, ]}',
        '{"events": [1 2]}',
        '{"events": [1}',
        '{"events": [1]} x',
        '{"events": [NaN]}',
        '{"events": ["abc',
        '{"events": [1], "metadata": {"a": 1}',
        "{1: 2}",
        '{"events": [' + "[" * 200_000,
        b'{"events": ["\xff\xfe"]}',
        '{"events": [{"timestamp": ' + "9" * 5000 + "}]}",
    ],
)
def test_what_is_no_document_is_refused(tmp_path: Path, text: str | bytes):
    with pytest.raises(RecordingRefused, match=r"recording\.json cannot be read"):
        read(tmp_path, text)


def test_a_value_without_end_is_refused_before_memory_is(tmp_path: Path):
    path = tmp_path / "recording.json"
    with path.open("wb") as file:
        file.write(b'{"events": ["')
        for _ in range(200):
            file.write(b"x" * (1 << 20))
    with pytest.raises(RecordingRefused, match="longer than"):
        list(read_document(path))
