"""Roles, when callers are asked, the signing key's file, and the throttle."""

from itertools import pairwise
from pathlib import Path

import pytest

from api.access.bearers import is_required
from api.access.signing import Signer
from api.access.throttle import Throttle
from core.access_settings import AccessSettings
from core.caller import ANYONE, NOBODY, SYSTEM, asking, current_caller
from core.errors import BadInput, ConfigurationError, TooManyAttempts
from core.permissions import ROLES, Permission, Role
from core.settings import ApiSettings, Settings
from models.access.grants import normal_name, read_scopes
from models.access.secrets import hash_password, is_password, make_password
from tests.conftest import ROOT


def test_each_role_may_all_that_the_one_before_it_may() -> None:
    may = [ROLES[role] for role in Role]
    assert all(lower < higher for lower, higher in pairwise(may))
    assert may[-1] == frozenset(Permission)


@pytest.mark.parametrize(
    ("mode", "host", "asked"),
    [
        ("auto", "127.0.0.1", False),
        ("auto", "::1", False),
        ("auto", "0.0.0.0", True),
        ("auto", "192.0.2.7", True),
        ("open", "localhost", False),
        ("required", "127.0.0.1", True),
        ("required", "::", True),
    ],
)
def test_callers_are_asked_beyond_loopback_or_when_wanted(
    mode: str, host: str, asked: bool
) -> None:
    settings = Settings(
        api=ApiSettings(host=host), access=AccessSettings.model_validate({"mode": mode})
    )
    assert is_required(settings) is asked


def test_an_open_api_beyond_loopback_is_refused() -> None:
    settings = Settings(api=ApiSettings(host="0.0.0.0"), access=AccessSettings(mode="open"))
    with pytest.raises(ConfigurationError, match="ATHANOR_ACCESS__MODE=required"):
        is_required(settings)


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_file_that_is_no_key_is_said_and_not_written_over(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"key\.pem"):
        Signer(file).read("a.b.c")
    assert file.read_bytes() == content


def test_failures_of_an_address_count_for_a_minute() -> None:
    now = 0.0
    throttle = Throttle(2, monotonic=lambda: now)
    throttle.failed("a")
    now = 10.0
    throttle.failed("a")
    with pytest.raises(TooManyAttempts) as refused:
        throttle.check("a")
    assert refused.value.seconds == 50.0
    throttle.check("b")
    now = 61.0
    throttle.check("a")


def test_the_throttle_remembers_no_more_than_it_must() -> None:
    throttle = Throttle(1)
    for number in range(10_050):
        throttle.failed(str(number))
    throttle.check("0")
    with pytest.raises(TooManyAttempts):
        throttle.check("10049")


def test_the_caller_is_athanor_itself_unless_somebody_asks() -> None:
    assert current_caller() is SYSTEM
    with asking(ANYONE):
        assert current_caller() is ANYONE
        with asking(NOBODY):
            assert not any(current_caller().may(one) for one in Permission)
            assert not current_caller().sees_all
    assert current_caller() is SYSTEM


@pytest.mark.parametrize("name", ["", " ", "a b", "a\x00", "-a", "ä", "a" * 101, "a/b"])
def test_a_name_is_of_plain_letters(name: str) -> None:
    with pytest.raises(BadInput, match="no name"):
        normal_name(name)


def test_scopes_are_permissions_that_there_are() -> None:
    assert read_scopes(["debug", "audit.read", "debug"]) == ["audit.read", "debug"]
    assert read_scopes([]) is None
    with pytest.raises(BadInput, match=r"messages\.eat"):
        read_scopes(["messages.eat"])


def test_passwords_are_neither_too_short_nor_guessed() -> None:
    password = make_password()
    kept = hash_password(password)
    assert is_password(password, kept)
    assert not is_password(password + "x", kept)
    assert not is_password(password, None)
    for wrong in ("short", "x" * 1_001):
        with pytest.raises(BadInput, match="characters"):
            hash_password(wrong)


def test_the_document_tells_each_permission_and_who_has_it() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs" / "security.md").read_text().splitlines()
        if line.startswith("| `") and line.count("|") == 7
    ]
    told = {row[0].strip("`"): [cell == "yes" for cell in row[1:5]] for row in rows}
    assert told == {one: [one in ROLES[role] for role in Role] for one in Permission}
