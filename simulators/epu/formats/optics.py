"""Camera and optics settings as EPU keeps them in its .dm files (Fei.SharedObjects)."""

from dataclasses import dataclass

from simulators.epu.formats.markup import (
    DRAWING,
    FEI_TYPES,
    GENERIC,
    MSCORLIB,
    Template,
    Xml,
    comparer,
    dictionary,
    joined,
    pairs,
)

_STRING = f"System.String, {MSCORLIB}"
_OBJECT = f"System.Object, {MSCORLIB}"


@dataclass(frozen=True, slots=True)
class Preset:
    """The settings of one magnification; defocus and beam diameter in metres, time in s."""

    name: str
    magnification: int
    defocus: float
    beam_diameter: float
    spot: int
    exposure_time: float
    lens: str
    probe: str


#: EPU's presets, in its order; the simulated microscope uses the first four.
PRESETS = (
    Preset("Atlas", 62, -1e-3, 9e-4, 8, 1.0, "LM", "MicroProbe"),
    Preset("GridSquare", 470, -5e-5, 4e-4, 4, 1.0, "LM", "MicroProbe"),
    Preset("Hole", 11_500, -2e-5, 9e-6, 5, 1.0, "HM", "NanoProbe"),
    Preset("Acquisition", 105_000, -1e-6, 8e-7, 5, 1.2, "HM", "NanoProbe"),
    Preset("AutoFocus", 105_000, -1e-6, 8e-7, 5, 1.0, "HM", "NanoProbe"),
    Preset("DriftMeasurement", 105_000, -1e-6, 8e-7, 5, 1.0, "HM", "NanoProbe"),
    Preset("ZeroLoss", 105_000, 0.0, 8e-7, 5, 1.0, "HM", "NanoProbe"),
    Preset("ThonRing", 105_000, -2e-6, 8e-7, 5, 1.0, "HM", "NanoProbe"),
)

_ACQUISITION = Template(f"""
<%(p)s:acquisitionDateTime>2026-01-05T09:00:00+01:00</%(p)s:acquisitionDateTime>
<%(p)s:analyticalDetectors z:Id="#">
  <%(p)s:_items z:Id="#" z:Size="0"/>
  <%(p)s:_size>0</%(p)s:_size>
  <%(p)s:_version>0</%(p)s:_version>
</%(p)s:analyticalDetectors>
<%(p)s:camera z:Id="#">
  <%(p)s:Binning xmlns:%(q)s="{DRAWING}"><%(q)s:x>2</%(q)s:x><%(q)s:y>2</%(q)s:y></%(p)s:Binning>
  <%(p)s:CameraLocation>EnergyFilter</%(p)s:CameraLocation>
  <%(p)s:CameraSpecificInput z:Id="#" z:Type="{dictionary(_STRING, _OBJECT)}" z:Assembly="0">
    <Version z:Id="#" z:Type="System.Int32" z:Assembly="0" xmlns="">2</Version>
    <Comparer z:Id="#" z:Type="{comparer(_STRING)}" z:Assembly="0" xmlns=""/>
    <HashSize z:Id="#" z:Type="System.Int32" z:Assembly="0" xmlns="">7</HashSize>
    <KeyValuePairs z:Id="#" z:Type="{pairs(_STRING, _OBJECT)}" z:Assembly="0" z:Size="2" xmlns="">
      <KeyValuePairOfstringanyType xmlns="{GENERIC}">
        <key z:Id="#">SuperResolutionFactor</key>
        <value z:Id="#" z:Type="System.Int32" z:Assembly="0">1</value>
      </KeyValuePairOfstringanyType>
      <KeyValuePairOfstringanyType xmlns="{GENERIC}">
        <key z:Id="#">FractionationSettings</key>
        <value i:nil="true"/>
      </KeyValuePairOfstringanyType>
    </KeyValuePairs>
  </%(p)s:CameraSpecificInput>
  <%(p)s:DarkGainCorrection>None</%(p)s:DarkGainCorrection>
  <%(p)s:ExposureTime>%(exposure_time)s</%(p)s:ExposureTime>
  <%(p)s:Inserted>false</%(p)s:Inserted>
  <%(p)s:Name z:Id="#">EF-CCD</%(p)s:Name>
  <%(p)s:PreExposurePauseTime>0</%(p)s:PreExposurePauseTime>
  <%(p)s:PreExposureSupported>false</%(p)s:PreExposureSupported>
  <%(p)s:PreExposureTime>0</%(p)s:PreExposureTime>
  <%(p)s:ReadoutArea xmlns:%(q)s="{DRAWING}">
    <%(q)s:height>2046</%(q)s:height><%(q)s:width>2880</%(q)s:width>
    <%(q)s:x>0</%(q)s:x><%(q)s:y>0</%(q)s:y>
  </%(p)s:ReadoutArea>
  <%(p)s:Shutter>PreSpecimen</%(p)s:Shutter>
</%(p)s:camera>
<%(p)s:plateCamera z:Id="#">
  <%(p)s:ExposureTime>0</%(p)s:ExposureTime>
  <%(p)s:Use>false</%(p)s:Use>
</%(p)s:plateCamera>
<%(p)s:scanSettings z:Id="#">
  <%(p)s:DwellTime>0</%(p)s:DwellTime>
  <%(p)s:ReducedArea i:nil="true" xmlns:%(q)s="{DRAWING}"/>
  <%(p)s:Resolution xmlns:%(q)s="{DRAWING}">
    <%(q)s:height>0</%(q)s:height><%(q)s:width>0</%(q)s:width>
  </%(p)s:Resolution>
  <%(p)s:ScanArea xmlns:%(q)s="{DRAWING}">
    <%(q)s:height>0</%(q)s:height><%(q)s:width>0</%(q)s:width>
    <%(q)s:x>0</%(q)s:x><%(q)s:y>0</%(q)s:y>
  </%(p)s:ScanArea>
  <%(p)s:ScanRotation>0</%(p)s:ScanRotation>
</%(p)s:scanSettings>
<%(p)s:scanningDetector z:Id="#">
  <%(p)s:DetectorType>SecondaryElectrons</%(p)s:DetectorType>
  <%(p)s:Gain i:nil="true"/>
  <%(p)s:Inserted>false</%(p)s:Inserted>
  <%(p)s:Name i:nil="true"/>
  <%(p)s:Offset i:nil="true"/>
</%(p)s:scanningDetector>""")

_BEFORE_BEAM = Template("""
<%(p)s:Apertures z:Id="#">
  <%(p)s:C2Aperture z:Id="#"><%(p)s:Diameter>50</%(p)s:Diameter></%(p)s:C2Aperture>
  <%(p)s:C3Aperture i:nil="true"/>
  <%(p)s:SaAperture i:nil="true"/>
</%(p)s:Apertures>
<%(p)s:BeamConvergence i:nil="true"/>
<%(p)s:BeamDiameter>%(beam_diameter)s</%(p)s:BeamDiameter>""")

_AFTER_BEAM = Template("""
<%(p)s:Cameralength>0</%(p)s:Cameralength>
<%(p)s:ColumnOperatingMode>TEM</%(p)s:ColumnOperatingMode>
<%(p)s:ColumnOperatingTemSubMode>BrightField</%(p)s:ColumnOperatingTemSubMode>
%(condenser)s
<%(p)s:Defocus>%(defocus)s</%(p)s:Defocus>
<%(p)s:DiffractionFocus>0</%(p)s:DiffractionFocus>
%(diffraction)s
<%(p)s:EFTEMOn>true</%(p)s:EFTEMOn>
<%(p)s:EnergyFilter z:Id="#">
  <%(p)s:AccelerationVoltageOffset i:nil="true"/>
  <%(p)s:DriftTubeVoltage>0</%(p)s:DriftTubeVoltage>
  <%(p)s:EnergySelectionSlitInserted>false</%(p)s:EnergySelectionSlitInserted>
  <%(p)s:EnergySelectionSlitWidth>20</%(p)s:EnergySelectionSlitWidth>
  <%(p)s:EnergyShift>0</%(p)s:EnergyShift>
  <%(p)s:EntranceApertureDiameter i:nil="true"/>
  <%(p)s:EntranceApertureType i:nil="true"/>
</%(p)s:EnergyFilter>
<%(p)s:Focus>0</%(p)s:Focus>
%(gun)s
<%(p)s:IlluminationMode i:nil="true"/>
<%(p)s:IlluminationProbeSubMode i:nil="true"/>
%(image_shift)s
<%(p)s:Intensity>0</%(p)s:Intensity>
<%(p)s:ObjectiveLensMode>%(lens)s</%(p)s:ObjectiveLensMode>
%(objective)s
<%(p)s:ProbeMode>%(probe)s</%(p)s:ProbeMode>
<%(p)s:ProjectorMode>Imaging</%(p)s:ProjectorMode>
<%(p)s:SpotIndex>%(spot)s</%(p)s:SpotIndex>
<%(p)s:StemDefocus>0</%(p)s:StemDefocus>
<%(p)s:StemFieldOfView i:nil="true"/>
<%(p)s:StemMagnification i:nil="true"/>
<%(p)s:TemMagnification>
  <%(p)s:NominalMagnification>%(magnification)s</%(p)s:NominalMagnification>
</%(p)s:TemMagnification>
<%(p)s:XLModeOn>false</%(p)s:XLModeOn>""")


def acquisition(preset: Preset, prefix: str, inner: str) -> Xml:
    """Return the content of an acquisition's settings; prefixes go by the depth in the file."""
    return _ACQUISITION.fill(p=Xml(prefix), q=Xml(inner), exposure_time=preset.exposure_time)


def optics(preset: Preset, prefix: str, inner: str) -> Xml:
    """Return the content of the optics' settings."""
    p = Xml(prefix)
    return joined(
        [
            _BEFORE_BEAM.fill(p=p, beam_diameter=preset.beam_diameter),
            *(_vector(f"{prefix}:{name}", inner) for name in ("BeamShift", "BeamTilt")),
            _AFTER_BEAM.fill(
                p=p,
                condenser=_vector(f"{prefix}:CondenserStigmator", inner),
                defocus=preset.defocus,
                diffraction=joined(
                    [
                        _vector(f"{prefix}:DiffractionShift", inner),
                        _vector(f"{prefix}:DiffractionStigmator", inner),
                    ]
                ),
                gun=Xml(f'<{prefix}:GunStigmator i:nil="true" xmlns:{inner}="{FEI_TYPES}"/>'),
                image_shift=_vector(f"{prefix}:ImageShift", inner),
                lens=preset.lens,
                objective=_vector(f"{prefix}:ObjectiveStigmator", inner),
                probe=preset.probe,
                spot=preset.spot,
                magnification=preset.magnification,
            ),
        ]
    )


def _vector(name: str, inner: str) -> Xml:
    return Xml(
        f'<{name} xmlns:{inner}="{FEI_TYPES}"><{inner}:_x>0</{inner}:_x>'
        f"<{inner}:_y>0</{inner}:_y></{name}>"
    )
