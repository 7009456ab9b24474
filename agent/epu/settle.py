"""The one set of files: which are being written, waiting, ingested or failed.

Pure: it is told what was found on disk and what time it is (seconds of any steady clock),
and does nothing itself.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from agent.epu.files import ABSENT, Signature
from agent.epu.names import label

#: Longest pause between two readings of a file that is not complete, in seconds.
_LONGEST_PAUSE = 5.0
#: Seconds between two readings of a file that could not be opened for long.
_LOCKED_PAUSE = 30.0
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class WaitingFile:
    """A file that is neither ingested nor given up."""

    path: Path
    signature: Signature
    first_seen: float
    unchanged_since: float
    #: When to look at it again; never, when something else has to happen first.
    look_at: float
    reason: str = "is still settling"
    attempts: int = 0
    #: It is known to be needed, and waits even while it does not exist.
    expected: bool = False
    #: That it cannot be opened has been said.
    complained: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a file ended, until it is rewritten: ingested, or failed with a reason."""

    signature: Signature
    digest: bytes = b""
    failure: str | None = None


class Ledger:
    """Every file that was seen, in exactly one state."""

    def __init__(self, *, settle_seconds: float, give_up_seconds: float) -> None:
        self._settle_seconds = settle_seconds
        self._give_up_seconds = give_up_seconds
        self._waiting: dict[Path, WaitingFile] = {}
        self._outcomes: dict[Path, Outcome] = {}
        self._failures: dict[Path, Outcome] = {}
        self._kinds: Counter[str] = Counter()

    @property
    def waiting(self) -> Mapping[Path, WaitingFile]:
        """Files that are neither ingested nor failed."""
        return self._waiting

    @property
    def outcomes(self) -> Mapping[Path, Outcome]:
        """How files ended that are not waiting (again)."""
        return {
            path: outcome for path, outcome in self._outcomes.items() if path not in self._waiting
        }

    @property
    def failures(self) -> dict[Path, str]:
        """Why files failed that are not waiting (again)."""
        return {
            path: outcome.failure or ""
            for path, outcome in self._failures.items()
            if path not in self._waiting
        }

    @property
    def kinds(self) -> Mapping[str, int]:
        """How many files were ingested, by what they are."""
        return self._kinds

    def count_ingested(self) -> int:
        """Return how many files ended well and are not waiting again."""
        again = sum(path in self._outcomes and path not in self._failures for path in self._waiting)
        return len(self._outcomes) - len(self._failures) - again

    def recall(self, path: Path, signature: Signature, digest: bytes) -> None:
        """Take in that a state of a file was ingested before our time."""
        if path not in self._outcomes:
            self._end(path, Outcome(signature, digest))
        waiting = self._waiting.get(path)
        if waiting is not None and waiting.signature == signature:
            del self._waiting[path]

    def expect(self, path: Path, now: float) -> None:
        """Wait for a file that is known to be needed, whether it exists yet or not."""
        if path not in self._waiting and path not in self._outcomes:
            self._waiting[path] = WaitingFile(
                path, ABSENT, now, now, now, "does not exist yet", expected=True
            )

    def observe(self, path: Path, signature: Signature | None, now: float) -> bool:
        """Take in what was found on disk; return whether the file is ready to be read."""
        waiting = self._waiting.get(path)
        if signature is None:
            self._vanished(waiting)
            return False
        outcome = self._outcomes.get(path)
        if outcome is not None and outcome.signature == signature:
            self._waiting.pop(path, None)
            return False
        if waiting is None or waiting.signature != signature:
            self._waiting[path] = WaitingFile(
                path,
                signature,
                first_seen=waiting.first_seen if waiting else now,
                unchanged_since=now,
                look_at=now + self._settle_seconds,
                expected=waiting.expected if waiting else False,
                complained=waiting.complained if waiting else False,
            )
            return self._settle_seconds == 0
        return waiting.look_at <= now

    def _vanished(self, waiting: WaitingFile | None) -> None:
        if waiting is None:
            return
        if waiting.expected:
            self._waiting[waiting.path] = replace(
                waiting, signature=ABSENT, look_at=_NEVER, reason="does not exist yet"
            )
        else:
            del self._waiting[waiting.path]

    def is_new(self, path: Path) -> bool:
        """Tell whether a file was never observed."""
        return path not in self._waiting and path not in self._outcomes

    def knows(self, path: Path, signature: Signature) -> bool:
        """Tell whether a file has ended, or waits, in the very state that was found on disk.

        Safe to ask from another thread, of many files.
        """
        known = self._waiting.get(path) or self._outcomes.get(path)
        return known is not None and known.signature == signature

    def queue(self, path: Path) -> None:
        """Let a file that is ready wait for its turn."""
        self.park(path, "is about to be read")

    def due(self, now: float) -> list[Path]:
        """Return the files that are to be looked at now."""
        return [path for path, waiting in self._waiting.items() if waiting.look_at <= now]

    def next_look(self) -> float:
        """Return when the next file is due; infinity for none."""
        return min((waiting.look_at for waiting in self._waiting.values()), default=_NEVER)

    def is_busy(self) -> bool:
        """Tell whether a file will be looked at again that may yet end well by itself soon."""
        return any(
            waiting.look_at < _NEVER and not waiting.complained
            for waiting in self._waiting.values()
        )

    def is_known_content(self, path: Path, digest: bytes) -> bool:
        """Tell whether this very content of the file is ingested already."""
        outcome = self._outcomes.get(path)
        return outcome is not None and outcome.failure is None and outcome.digest == digest

    def ingested(self, path: Path, signature: Signature, digest: bytes) -> None:
        """End a file well."""
        self._waiting.pop(path, None)
        self._end(path, Outcome(signature, digest))

    def failed(self, path: Path, signature: Signature, reason: str) -> None:
        """End a file as failed, until it is rewritten."""
        self._waiting.pop(path, None)
        self._end(path, Outcome(signature, failure=reason))

    def _end(self, path: Path, outcome: Outcome) -> None:
        self._start(path)
        self._outcomes[path] = outcome
        if outcome.failure is None:
            self._kinds[label(path)] += 1
        else:
            self._failures[path] = outcome

    def _start(self, path: Path) -> Outcome | None:
        outcome = self._outcomes.pop(path, None)
        if outcome is not None and self._failures.pop(path, None) is None:
            self._kinds[label(path)] -= 1
        return outcome

    def unreadable(self, path: Path, reason: str, now: float) -> bool:
        """Note that a file cannot be read as it is; return whether to give it up.

        It is read again, ever more seldom, until it has been stable for the time to give up.
        """
        waiting = self._waiting[path]
        if now - waiting.unchanged_since >= self._give_up_seconds:
            return True
        pause = max(self._settle_seconds, 0.05) * 2.0 ** min(waiting.attempts, 10)
        last_look = waiting.unchanged_since + self._give_up_seconds
        self._waiting[path] = replace(
            waiting,
            look_at=min(now + min(pause, _LONGEST_PAUSE), last_look),
            reason=reason,
            attempts=waiting.attempts + 1,
        )
        return False

    def locked(self, path: Path, now: float) -> bool:
        """Let a file that cannot be opened wait on; return whether to say so, which is once.

        Its content may be as good as any: whoever holds it open, or a network that is away,
        changes neither its size nor its time when that is over.
        """
        waiting = self._waiting[path]
        self._waiting[path] = replace(waiting, look_at=now + _LOCKED_PAUSE, complained=True)
        return not waiting.complained

    def park(self, path: Path, reason: str) -> None:
        """Let a file wait until something else happens (`unpark`), or it is rewritten."""
        self._waiting[path] = replace(self._waiting[path], look_at=_NEVER, reason=reason)

    def unpark(self, below: Path, now: float) -> None:
        """Look again at the parked files of a folder."""
        for path, waiting in self._waiting.items():
            if waiting.look_at == _NEVER and path.is_relative_to(below):
                self._waiting[path] = replace(waiting, look_at=now)

    def forget(self, path: Path) -> None:
        """Drop a file that is not looked for any more."""
        self._waiting.pop(path, None)

    def start_over(self, below: Path, now: float) -> None:
        """Look again at every ended file of a folder, as if it had never been read."""
        for path in [path for path in self._outcomes if path.is_relative_to(below)]:
            outcome = self._start(path)
            if outcome is not None and path not in self._waiting:
                self._waiting[path] = WaitingFile(path, outcome.signature, now, now, now)
