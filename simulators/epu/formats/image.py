"""The .xml beside an image: MicroscopeImage."""

from collections.abc import Iterator
from uuid import UUID, uuid5

from domains.cryoem.manifests import HoleCenter, ImageManifest, Point
from simulators.epu.formats.markup import (
    ARRAYS,
    DRAWING,
    FEI_TYPES,
    INSTANCE,
    MEDIA,
    SHARED_OBJECTS,
    UNITS,
    XML_SCHEMA,
    Template,
    Value,
    Xml,
    element,
    extent,
    finish,
    joined,
    point,
    rectangle,
    written,
)

_METRES = (
    f'<unit xmlns:a="{UNITS}">'
    "<a:_x003C_PrefixExponent_x003E_k__BackingField>1"
    "</a:_x003C_PrefixExponent_x003E_k__BackingField>"
    "<a:_x003C_Symbol_x003E_k__BackingField>m</a:_x003C_Symbol_x003E_k__BackingField></unit>"
)
_NOWHERE = f"<numericValue>0</numericValue>{_METRES}"
_NO_VECTOR = f'xmlns:a="{FEI_TYPES}"><a:_x>0</a:_x><a:_y>0</a:_y>'

_IMAGE = Template(f"""
<MicroscopeImage xmlns="{SHARED_OBJECTS}" xmlns:i="{INSTANCE}">
  <name>Empty</name>
  %(unique_id)s
  <CustomData xmlns:a="{ARRAYS}">%(custom)s</CustomData>
  <IntensityScale i:nil="true"/>
  <ReferenceTransformation>
    <matrix xmlns:a="{MEDIA}">
      <a:_m11>%(row)s</a:_m11><a:_m12>0</a:_m12><a:_m21>0</a:_m21><a:_m22>%(row)s</a:_m22>
      <a:_offsetX>0</a:_offsetX><a:_offsetY>0</a:_offsetY><a:_padding>0</a:_padding>
      <a:_type>TRANSFORM_IS_UNKNOWN</a:_type>
    </matrix>
    {_METRES}
  </ReferenceTransformation>
  <SpatialScale>
    <offset><x>{_NOWHERE}</x><y>{_NOWHERE}</y></offset>
    <pixelSize><x>%(pixel_size)s{_METRES}</x><y>%(pixel_size)s{_METRES}</y></pixelSize>
  </SpatialScale>
  <microscopeData>
    <acquisition>
      %(acquired_at)s
      <analyticalDetectors/>
      <camera>
        %(binning)s
        <CameraLocation>EnergyFilter</CameraLocation>
        <CameraSpecificInput xmlns:a="{ARRAYS}">%(camera)s</CameraSpecificInput>
        <DarkGainCorrection>None</DarkGainCorrection>
        %(exposure_time)s
        <FixedReadoutArea>Full</FixedReadoutArea>
        <Inserted>true</Inserted>
        <Name>EF-CCD</Name>
        <PreExposurePauseTime>0</PreExposurePauseTime>
        <PreExposureSupported>false</PreExposureSupported>
        <PreExposureTime>0</PreExposureTime>
        %(readout_area)s
        <Shutter>PreSpecimen</Shutter>
      </camera>
      <plateCamera><ExposureTime>0</ExposureTime><Use>false</Use></plateCamera>
      <scanSettings>
        <DwellTime>0</DwellTime>
        <ReducedArea i:nil="true" xmlns:a="{DRAWING}"/>
        <Resolution xmlns:a="{DRAWING}"><a:height>0</a:height><a:width>0</a:width></Resolution>
        <ScanArea xmlns:a="{DRAWING}">
          <a:height>0</a:height><a:width>0</a:width><a:x>0</a:x><a:y>0</a:y>
        </ScanArea>
        <ScanRotation>0</ScanRotation>
      </scanSettings>
      <scanningDetector>
        <DetectorType>SecondaryElectrons</DetectorType>
        <Gain i:nil="true"/>
        <Inserted>false</Inserted>
        <Name i:nil="true"/>
        <Offset i:nil="true"/>
      </scanningDetector>
    </acquisition>
    <core>
      <ApplicationSoftware>EPU</ApplicationSoftware>
      %(software_version)s
      <Guid>%(guid)s</Guid>
    </core>
    <gun>
      %(acceleration_voltage)s
      <ExtractorVoltage>4000</ExtractorVoltage>
      <Filament i:nil="true"/>
      <GunLens>4</GunLens>
      <Sourcetype>FieldEmission</Sourcetype>
      <WehneltBias i:nil="true"/>
    </gun>
    <instrument>
      <AcquisitionSoftware i:nil="true"/>
      <AcquisitionSoftwareVersion i:nil="true"/>
      %(computer_name)s
      %(instrument_id)s
      %(instrument_model)s
    </instrument>
    <optics>
      <Apertures i:nil="true"/>
      <BeamConvergence i:nil="true"/>
      <BeamDiameter>9E-06</BeamDiameter>
      <BeamShift {_NO_VECTOR}</BeamShift>
      <BeamTilt {_NO_VECTOR}</BeamTilt>
      <Cameralength>0</Cameralength>
      <ColumnOperatingMode>TEM</ColumnOperatingMode>
      <ColumnOperatingTemSubMode>BrightField</ColumnOperatingTemSubMode>
      <CondenserStigmator {_NO_VECTOR}</CondenserStigmator>
      %(defocus)s
      <DiffractionFocus>0</DiffractionFocus>
      <DiffractionShift {_NO_VECTOR}</DiffractionShift>
      <DiffractionStigmator {_NO_VECTOR}</DiffractionStigmator>
      %(is_eftem)s
      <EnergyFilter>
        <AccelerationVoltageOffset>0</AccelerationVoltageOffset>
        <DriftTubeVoltage>0</DriftTubeVoltage>
        <EnergySelectionSlitInserted>false</EnergySelectionSlitInserted>
        <EnergySelectionSlitWidth>20</EnergySelectionSlitWidth>
        <EnergyShift>0</EnergyShift>
        <EntranceApertureDiameter i:nil="true"/>
        <EntranceApertureType i:nil="true"/>
      </EnergyFilter>
      <Focus>0</Focus>
      <GunStigmator i:nil="true" xmlns:a="{FEI_TYPES}"/>
      <IlluminationMode>Parallel</IlluminationMode>
      <IlluminationProbeSubMode i:nil="true"/>
      <ImageShift {_NO_VECTOR}</ImageShift>
      <Intensity>0</Intensity>
      <ObjectiveLensMode>HM</ObjectiveLensMode>
      <ObjectiveStigmator {_NO_VECTOR}</ObjectiveStigmator>
      <ProbeMode>NanoProbe</ProbeMode>
      <ProjectorMode>Imaging</ProjectorMode>
      <SpotIndex>5</SpotIndex>
      <StemDefocus>0</StemDefocus>
      <StemFieldOfView i:nil="true"/>
      <StemMagnification i:nil="true"/>
      <TemMagnification>%(magnification)s</TemMagnification>
      <XLModeOn>false</XLModeOn>
    </optics>
    <sample><Description i:nil="true"/><ID i:nil="true"/></sample>
    <stage>
      <Holder>Unspecified</Holder>
      <Position>%(stage)s</Position>
      <SampleLoader>None</SampleLoader>
    </stage>
    <vacuum>
      <ProjectionChamberPressure>0</ProjectionChamberPressure>
      <SamplePressure>0</SamplePressure>
      <VacuumMode>Ready</VacuumMode>
    </vacuum>
  </microscopeData>
</MicroscopeImage>""")

_PAIR = Template("""
<a:KeyValueOfstringanyType><a:Key>%(key)s</a:Key>%(value)s</a:KeyValueOfstringanyType>""")

_SHAPE = Template(f"""
<a:Value i:type="b:Shape2D" xmlns:b="{FEI_TYPES}">
  %(center)s
  %(quality)s
  %(rotation)s
  <b:Shear>0</b:Shear>
  %(size)s
</a:Value>""")

_TYPES = {bool: "boolean", float: "double", int: "long", str: "string"}
_NO_GUID = UUID(int=0)
_ORIGIN = Point(x=0, y=0)


def write_image(image: ImageManifest) -> bytes:
    """Return the content of an image's manifest; custom data without value is left out."""
    binning = image.binning.x if image.binning else 1.0
    return finish(
        _IMAGE.fill(
            unique_id=element("uniqueID", image.unique_id),
            custom=joined(list(_custom_data(image))),
            # EPU's reference matrix is per unbinned pixel.
            row=(image.pixel_size or 0.0) / binning,
            pixel_size=element("numericValue", image.pixel_size),
            acquired_at=element("acquisitionDateTime", image.acquired_at),
            binning=point("Binning", image.binning, "a"),
            camera=joined(list(_camera_input())),
            exposure_time=element("ExposureTime", image.exposure_time),
            readout_area=rectangle("ReadoutArea", _ORIGIN, image.readout_area, "a"),
            software_version=element("ApplicationSoftwareVersion", image.software_version),
            guid=str(uuid5(_NO_GUID, image.unique_id or "")),
            acceleration_voltage=element("AccelerationVoltage", image.acceleration_voltage),
            computer_name=element("ComputerName", image.computer_name),
            instrument_id=element("InstrumentID", image.instrument_id),
            instrument_model=element("InstrumentModel", image.instrument_model),
            defocus=element("Defocus", image.defocus),
            is_eftem=element("EFTEMOn", image.is_eftem),
            magnification=element("NominalMagnification", image.magnification),
            stage=_axes(image),
        )
    )


def _axes(image: ImageManifest) -> Xml:
    at = image.stage
    if at is None:
        return Xml()
    axes = {"A": at.a, "B": at.b, "X": at.x, "Y": at.y, "Z": at.z}
    return joined([element(axis, value) for axis, value in axes.items()])


def _camera_input() -> Iterator[Xml]:
    yield _pair("AlignIntegratedImageEnabled", _simple(False))
    yield _pair("SuperResolutionFactor", _simple(1))
    yield _pair("FractionationSettings", element("a:Value", None))
    yield _pair("ElectronCountingEnabled", _simple(True))


def _custom_data(image: ImageManifest) -> Iterator[Xml]:
    yield _pair("DoseOnCamera", _simple(50.0))
    yield _pair("Aperture[C2].Name", _simple("50"))
    simple: dict[str, Value | None] = {
        "Dose": image.dose,
        "PhasePlateUsed": image.phase_plate_used,
        "DetectorCommercialName": image.detector,
    }
    for key, value in simple.items():
        if value is not None:
            yield _pair(key, _simple(value))
    if image.hole_center is not None:
        yield _pair("FindFoilHoleCenterResults", _found(image.hole_center))
    if image.applied_defocus is not None:
        yield _pair("AppliedDefocus", _simple(image.applied_defocus))


def _pair(key: str, value: Xml) -> Xml:
    return _PAIR.fill(key=key, value=value)


def _simple(value: Value) -> Xml:
    kind = _TYPES[type(value)]
    return Xml(f'<a:Value i:type="b:{kind}" xmlns:b="{XML_SCHEMA}">{written(value)}</a:Value>')


def _found(hole: HoleCenter) -> Xml:
    return _SHAPE.fill(
        center=point("b:Center", hole.center, "c"),
        quality=element("b:Quality", hole.quality),
        rotation=element("b:Rotation", hole.rotation),
        size=extent("b:Size", hole.size, "c"),
    )
