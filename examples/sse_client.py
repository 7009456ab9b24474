"""Receive instructions as an agent does: a stream of server-sent events, and acknowledgements.

    python sse_client.py http://127.0.0.1:8377 m01-epu SESSION [--key KEY] [--count N]

Open a session first: `curl -X POST …/agent/sessions -d '{"agent_id": "m01-epu", "mode": "auto"}'`.
This client prints each instruction and declines it, because it has no microscope. One that has
replaces `act`, and notes on disk what it has done: an instruction may come twice.

Needs httpx and httpx-sse.
"""

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
from httpx_sse import connect_sse


class Declined(Exception):
    """This client cannot do it."""


def act(instruction: dict[str, Any]) -> str:
    """Do what is asked, and say what was done."""
    raise Declined(f"no microscope here for {instruction['instruction_type']}")


def instructions(client: httpx.Client, url: str) -> Iterator[dict[str, Any]]:
    """Yield instructions for ever, connecting again when the stream breaks off."""
    pause, last = 0.5, ""
    while True:
        try:
            with connect_sse(
                client, "GET", f"{url}/instructions/stream", headers={"Last-Event-ID": last}
            ) as source:
                source.response.raise_for_status()
                for event in source.iter_sse():
                    pause, last = 0.5, event.id or last
                    if event.event == "instruction":
                        yield json.loads(event.data)
                    else:
                        print(f"{event.event}: {event.data}")
        except httpx.TransportError as error:
            print(f"The stream broke off: {error}")
        time.sleep(pause)
        pause = min(2 * pause, 30)


def acknowledge(client: httpx.Client, url: str, ident: str, **said: Any) -> bool:
    """Tell Athanor; return False where it says that this makes no sense any more."""
    while True:
        try:
            answer = client.post(f"{url}/instructions/{ident}/ack", json=said)
        except httpx.TransportError:
            time.sleep(1)
            continue
        if answer.status_code == httpx.codes.CONFLICT:
            return False
        if not answer.is_server_error:
            answer.raise_for_status()
            return True
        time.sleep(1)


def main() -> None:
    """Receive, act and acknowledge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("api", help="Athanor's API.")
    parser.add_argument("agent", help="The agent's id.")
    parser.add_argument("session", help="The session's id.")
    parser.add_argument("--key", help="Key for the API, where it asks for one.")
    parser.add_argument("--count", type=int, help="End after so many instructions.")
    chosen = parser.parse_args()
    url = f"{chosen.api.rstrip('/')}/agent/{chosen.agent}/session/{chosen.session}"
    headers = {"Authorization": f"Bearer {chosen.key}"} if chosen.key else {}
    # A heartbeat comes every 30 s: a stream that says nothing for longer is dead.
    timeout = httpx.Timeout(10, read=75)
    with httpx.Client(headers=headers, timeout=timeout) as client:
        for number, instruction in enumerate(instructions(client, url), 1):
            ident = instruction["instruction_id"]
            print(f"instruction {instruction['sequence_number']}: {instruction}", flush=True)
            # In two steps: first that it is here. A refusal means that it was called off.
            if acknowledge(client, url, ident, status="received"):
                began = time.monotonic()
                try:
                    said: dict[str, Any] = {"status": "processed", "result": act(instruction)}
                except Declined as reason:
                    said = {"status": "declined", "error_message": str(reason)}
                took = round(1000 * (time.monotonic() - began))
                acknowledge(client, url, ident, **said, processing_time_ms=took)
            if number == chosen.count:
                return


if __name__ == "__main__":
    main()
