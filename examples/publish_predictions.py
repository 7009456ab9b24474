"""Publish a model's predictions to Athanor, over RabbitMQ or HTTP, each for certain.

    python publish_predictions.py --grid UUID --model ice-cnn --amqp amqp://… scores.csv
    python publish_predictions.py --grid UUID --model ice-cnn --api http://127.0.0.1:8377 scores.csv

The CSV has a header and the columns `level` (gridsquare or foilhole), `id` (EPU's number) and
`value` (0 to 1). Run it again whenever it broke off: its messages carry ids that follow from what
they say, so that Athanor takes each once. Needs pika for RabbitMQ, httpx for HTTP.
"""

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

#: Messages in one request, or between two looks at whether RabbitMQ has all.
BATCH = 500
TRIES = 5

Message = dict[str, Any]


def messages(file: Path, *, grid: UUID, model: str) -> Iterator[Message]:
    """Yield a message for each line of the file."""
    with file.open(newline="") as lines:
        for line in csv.DictReader(lines):
            said = f"{model} {line['level']} {line['id']} {line['value']}"
            yield {
                "event_type": f"{line['level']}.model_prediction",
                "grid_uuid": str(grid),
                f"{line['level']}_id": int(line["id"]),
                "prediction_model_name": model,
                "prediction_value": float(line["value"]),
                "message_id": str(uuid5(grid, said)),
            }


def batches(every: Iterator[Message]) -> Iterator[list[Message]]:
    """Yield messages in groups."""
    batch: list[Message] = []
    for one in every:
        batch.append(one)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def publish_amqp(url: str, queue: str, batch: Sequence[Message]) -> None:
    """Publish to a queue and return once RabbitMQ has confirmed each message.

    Without confirmations, what a quorum queue has not yet written to most of its nodes is lost
    when the channel closes, and nobody says so.
    """
    import pika  # noqa: PLC0415 (whoever speaks HTTP needs none)

    properties = pika.BasicProperties(content_type="application/json", delivery_mode=2)
    left = list(batch)
    for attempt in range(1, TRIES + 1):
        try:
            connection = pika.BlockingConnection(pika.URLParameters(url))
            try:
                channel = connection.channel()
                channel.confirm_delivery()
                while left:
                    # Returns when it is confirmed; raises when it is refused, or when
                    # (`mandatory`) there is no such queue.
                    body = json.dumps(left[0]).encode()
                    channel.basic_publish("", queue, body, properties, mandatory=True)
                    left.pop(0)
            finally:
                if connection.is_open:
                    connection.close()
        except pika.exceptions.AMQPConnectionError:
            # What was not confirmed may be there or not: it is sent again, under the same id.
            if attempt == TRIES:
                raise
            time.sleep(0.5 * 2**attempt)
        else:
            return


def publish_http(url: str, key: str | None, batch: Sequence[Message]) -> None:
    """Post a batch and return once Athanor has stored all of it."""
    import httpx  # noqa: PLC0415 (whoever speaks AMQP needs none)

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    for attempt in range(1, TRIES + 1):
        try:
            answer = httpx.post(
                f"{url.rstrip('/')}/messages",
                params={"source": "publish_predictions"},
                json=list(batch),
                headers=headers,
                timeout=30,
            )
        except httpx.TransportError:
            if attempt == TRIES:
                raise
        else:
            if answer.is_client_error:
                sys.exit(f"Athanor refuses this, and would again: {answer.text}")
            if answer.is_success:
                return
        time.sleep(0.5 * 2**attempt)
    sys.exit("Athanor took nothing; run this again later.")


def main() -> None:
    """Publish a file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--grid", type=UUID, required=True, help="Athanor's uuid of the grid.")
    parser.add_argument("--model", required=True, help="Name of the model.")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--amqp", metavar="URL", help="RabbitMQ, such as amqp://user:secret@host/.")
    way.add_argument("--api", metavar="URL", help="Athanor's API.")
    parser.add_argument("--queue", default="smartem_backend", help="Queue that Athanor reads.")
    parser.add_argument("--key", help="Key for the API, where it asks for one.")
    chosen = parser.parse_args()
    sent = 0
    for batch in batches(messages(chosen.file, grid=chosen.grid, model=chosen.model)):
        if chosen.amqp:
            publish_amqp(chosen.amqp, chosen.queue, batch)
        else:
            publish_http(chosen.api, chosen.key, batch)
        sent += len(batch)
    print(f"{sent} predictions are there.")


if __name__ == "__main__":
    main()
