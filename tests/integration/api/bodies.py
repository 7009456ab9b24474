"""Messages as they are sent, and a look at what is stored."""

from typing import Any

import httpx

JSON = {"Content-Type": "application/json"}


def prediction(**changes: Any) -> dict[str, Any]:
    body = {
        "event_type": "foilhole.model_prediction",
        "grid_uuid": "0b6f9c2e-6a0e-5d0c-9d55-0d2f2b6a7c11",
        "foilhole_id": 7,
        "prediction_model_name": "m",
        "prediction_value": 0.5,
    }
    return {name: value for name, value in {**body, **changes}.items() if value is not None}


async def stored(client: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    answer = await client.get("/messages", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]
