"""The .xml beside each image of a square, a hole or an exposure."""

from agent.epu.fields import Fields
from agent.epu.xml import SHARED_OBJECTS, Document, Root
from domains.cryoem.manifests import HoleCenter, ImageManifest

ROOT = Root("MicroscopeImage", (SHARED_OBJECTS,))

_ACQUISITION = ("microscopeData", "acquisition")
_CAMERA = (*_ACQUISITION, "camera")
_OPTICS = ("microscopeData", "optics")
_INSTRUMENT = ("microscopeData", "instrument")


def parse_image(path: str, data: bytes) -> ImageManifest:
    """Return the image manifest in `data`."""
    document = Document(path, data, ROOT)
    image = Fields(document, document.root)
    custom = _custom_data(image.below("CustomData"))
    return ImageManifest(
        unique_id=image.text("uniqueID"),
        acquired_at=image.moment(*_ACQUISITION, "acquisitionDateTime"),
        binning=image.point(*_CAMERA, "Binning"),
        readout_area=image.extent(*_CAMERA, "ReadoutArea"),
        exposure_time=image.number(*_CAMERA, "ExposureTime"),
        defocus=image.number(*_OPTICS, "Defocus"),
        applied_defocus=_number(custom.get("AppliedDefocus")),
        magnification=image.number(*_OPTICS, "TemMagnification", "NominalMagnification"),
        is_eftem=image.boolean(*_OPTICS, "EFTEMOn"),
        acceleration_voltage=image.number("microscopeData", "gun", "AccelerationVoltage"),
        instrument_model=image.text(*_INSTRUMENT, "InstrumentModel"),
        instrument_id=image.text(*_INSTRUMENT, "InstrumentID"),
        computer_name=image.text(*_INSTRUMENT, "ComputerName"),
        software_version=image.text("microscopeData", "core", "ApplicationSoftwareVersion"),
        stage=image.stage("microscopeData", "stage", "Position"),
        pixel_size=image.number("SpatialScale", "pixelSize", "x", "numericValue"),
        dose=_number(custom.get("Dose")),
        phase_plate_used=_boolean(custom.get("PhasePlateUsed")),
        detector=_text(custom.get("DetectorCommercialName")),
        hole_center=_hole_center(custom.get("FindFoilHoleCenterResults")),
    )


def _custom_data(custom: Fields | None) -> dict[str, Fields]:
    if custom is None:
        return {}
    return {
        key: value
        for pair in custom.items("KeyValueOfstringanyType")
        if (key := pair.text("Key")) is not None and (value := pair.below("Value")) is not None
    }


def _hole_center(found: Fields | None) -> HoleCenter | None:
    if found is None:
        return None
    return HoleCenter(
        center=found.point("Center"),
        size=found.extent("Size"),
        quality=found.number("Quality"),
        rotation=found.number("Rotation"),
    )


def _number(value: Fields | None) -> float | None:
    return None if value is None else value.number()


def _boolean(value: Fields | None) -> bool | None:
    return None if value is None else value.boolean()


def _text(value: Fields | None) -> str | None:
    return None if value is None else value.text()
