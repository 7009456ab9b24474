"""How paths name models and metrics."""

from typing import Annotated, Any

from fastapi import Path


def _name(description: str, example: str) -> Any:
    return Path(
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00]*$",
        description=description,
        examples=[example],
    )


ModelName = Annotated[str, _name("The model, as its messages say it.", "hole-ranker")]
MetricName = Annotated[
    str, _name("motioncorrection, ctfmaxresolution or numparticles.", "ctfmaxresolution")
]
