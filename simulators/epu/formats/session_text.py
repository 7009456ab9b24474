"""The text of EpuSession.dm, in pieces."""

from simulators.epu.formats.markup import (
    ARRAYS,
    COMMON_TYPES,
    DATA_CONTRACT,
    DRAWING,
    EPU,
    EPU_ASSEMBLY,
    GENERIC,
    INSTANCE,
    MEDIA,
    MSCORLIB,
    SERIALIZATION,
    SHARED_OBJECTS,
    UNITS,
    UNSIGNED,
    Template,
    comparer,
    dictionary,
    pairs,
)

_SERVICES = DATA_CONTRACT + "Fei.Applications.Common.Services"
_INT = f"System.Int32, {MSCORLIB}"
_PRESET_ID = (
    "Applications.Epu.Datamodel.ExperimentSettingsId, "
    f"Applications.Epu.Datamodel, Version=3.7.0.1, {UNSIGNED}"
)
_PRESET = (
    "Fei.Applications.Common.Services.MicroscopeSettings, "
    f"Fei.Applications.Common.Services, Version=5.25.0.1, {UNSIGNED}"
)
_PRESETS = dictionary(_PRESET_ID, _PRESET)
_PRESET_COMPARER = f"System.Collections.Generic.EnumEqualityComparer`1[[{_PRESET_ID}]]"
_DMP = "Applications.SciencesAppsShared.DMP.BusinessLogic"

SESSION = Template(f"""
<EpuSessionXml z:Id="#" z:Type="Applications.Epu.Persistence.EpuSessionXml"
    z:Assembly="{EPU_ASSEMBLY}" xmlns="{EPU}" xmlns:i="{INSTANCE}" xmlns:z="{SERIALIZATION}">
  %(epu_id)s
  <AutoFocusEnabled>false</AutoFocusEnabled>
  <AutoStageTimeEnabled>false</AutoStageTimeEnabled>
  <AutoZeroLossEnabled>false</AutoZeroLossEnabled>
  <AutoZeroLossPeriodicity>PT1H</AutoZeroLossPeriodicity>
  <AutoloaderDescription z:Id="#">Simulated grid</AutoloaderDescription>
  %(autoloader_slot)s
  %(clustering_mode)s
  %(clustering_radius)s
  <DMPSession z:Id="#" z:Type="{_DMP}.Persistence.DMPSessionXml"
      z:Assembly="{_DMP}, Version=1.34.0.1, {UNSIGNED}">
    <AcquisitionRunId z:Id="#empty"/>
    <DatasetId z:Ref="#empty" i:nil="true"/>
    <DatasetName z:Ref="#empty" i:nil="true"/>
    <ExperimentId z:Ref="#empty" i:nil="true"/>
    <ExperimentName z:Ref="#empty" i:nil="true"/>
    <ProjectId z:Ref="#empty" i:nil="true"/>
    <ProjectName z:Ref="#empty" i:nil="true"/>
    <WorkflowId z:Ref="#empty" i:nil="true"/>
    <WorkflowName z:Ref="#empty" i:nil="true"/>
    <WorkstepId z:Ref="#empty" i:nil="true"/>
    <WorkstepName z:Ref="#empty" i:nil="true"/>
  </DMPSession>
  <DoseFractionsOutputFormat z:Id="#">Tiff Lzw Non-Gain normalized</DoseFractionsOutputFormat>
  <EmailNotificationEnabled>false</EmailNotificationEnabled>
  <EnableSmartHoleSelection>true</EnableSmartHoleSelection>
  <IceThicknessEnabled>false</IceThicknessEnabled>
  <ImageFileFormat>Tiff</ImageFileFormat>
  <IsManuallySelected>false</IsManuallySelected>
  <IsSmartFilterGridSquareDecisionKnown>false</IsSmartFilterGridSquareDecisionKnown>
  <MicroscopeName i:nil="true"/>
  <Name z:Id="#name">%(name)s</Name>
  <NumberOfTargetLocationsToSelect i:nil="true"/>
  <PhasePlateAccelerateEnabled>false</PhasePlateAccelerateEnabled>
  <PhasePlateActivationTime>PT20S</PhasePlateActivationTime>
  <PhasePlateEnabled>false</PhasePlateEnabled>
  <PhasePlatePeriodicity>50</PhasePlatePeriodicity>
  <RecipientsEmailList i:nil="true"/>
  <RemoveHolesCloseToGridBarOnAutomaticRun>true</RemoveHolesCloseToGridBarOnAutomaticRun>
  <Samples z:Id="#">
    <_items z:Id="#" z:Size="4">
      %(sample)s
      <SampleXml i:nil="true"/><SampleXml i:nil="true"/><SampleXml i:nil="true"/>
    </_items>
    <_size>1</_size>
    <_version>1</_version>
  </Samples>
  <SkipGridSquareEnabled>false</SkipGridSquareEnabled>
  <SmartGridSquareEnabled>true</SmartGridSquareEnabled>
  %(started_at)s
  <StorageFolders z:Id="#">
    <_items z:Id="#" z:Size="4">
      <StorageFolderXml z:Id="#">
        <Id xmlns="{COMMON_TYPES}">%(storage)s</Id>
        <DiscId>1</DiscId>
        %(storage_path)s
        <SessionName z:Ref="#name" i:nil="true"/>
      </StorageFolderXml>
      <StorageFolderXml i:nil="true"/><StorageFolderXml i:nil="true"/>
      <StorageFolderXml i:nil="true"/>
    </_items>
    <_size>1</_size>
    <_version>1</_version>
  </StorageFolders>
  <Version z:Id="#" xmlns:a="{DATA_CONTRACT}System">
    <a:_Build>0</a:_Build><a:_Major>3</a:_Major><a:_Minor>0</a:_Minor><a:_Revision>0</a:_Revision>
  </Version>
</EpuSessionXml>""")

SAMPLE = Template(f"""
<SampleXml z:Id="#">
  <Id xmlns="{COMMON_TYPES}">%(sample)s</Id>
  <AlignmentTimeStamp>%(started_locally)s</AlignmentTimeStamp>
  <AllowDarkFoilHolesOnGridSquareMagnification>false</AllowDarkFoilHolesOnGridSquareMagnification>
  %(atlas_path)s
  <EndDateTime i:nil="true"/>
  %(filters)s
  <GridGeometry>Square</GridGeometry>
  <GridSquares z:Id="#" xmlns:a="{ARRAYS}">
    <a:m_comparer z:Id="#ints" z:Type="{comparer(_INT)}" z:Assembly="0"/>
    <a:m_keyRehashCount>0</a:m_keyRehashCount>
    <a:m_serializationArray z:Id="#" z:Size="%(squares_count)s" xmlns:b="{GENERIC}">
      %(squares)s
    </a:m_serializationArray>
    <a:m_serializationCapacity>1117</a:m_serializationCapacity>
    <a:m_serializationConcurrencyLevel>384</a:m_serializationConcurrencyLevel>
  </GridSquares>
  %(grid_type)s
  <MicroscopeSettings z:Id="#" z:Type="{_PRESETS}" z:Assembly="0" xmlns:a="{ARRAYS}">
    <Version z:Id="#" z:Type="System.Int32" z:Assembly="0" xmlns="">8</Version>
    <Comparer z:Id="#" z:Type="{_PRESET_COMPARER}" z:Assembly="0" xmlns=""/>
    <HashSize z:Id="#" z:Type="System.Int32" z:Assembly="0" xmlns="">17</HashSize>
    <KeyValuePairs z:Id="#" z:Type="{pairs(_PRESET_ID, _PRESET)}" z:Assembly="0"
        z:Size="%(presets_count)s" xmlns="">
      %(presets)s
    </KeyValuePairs>
  </MicroscopeSettings>
  <SpecimenCarrierKind i:nil="true"/>
  <StartDateTime>%(started_locally)s</StartDateTime>
  <TargetAreaTemplate z:Id="#">
    <Id xmlns="{COMMON_TYPES}">%(template)s</Id>
    <AutoFocusArea z:Id="#">
      <Id xmlns="{COMMON_TYPES}">%(autofocus)s</Id>
      <FocusWith z:Id="#">ObjectiveLens</FocusWith>
      <Recurrence z:Id="#">AfterDistance</Recurrence>
      <RecurrenceDistance>8E-06</RecurrenceDistance>
      <ShiftInPixels xmlns:a="{DRAWING}">
        <a:height>-900</a:height><a:width>0</a:width>
      </ShiftInPixels>
      <UseAutoStigmate>false</UseAutoStigmate>
    </AutoFocusArea>
    <AutoplaceAutofocus>true</AutoplaceAutofocus>
    <DataAcquisitionAreas z:Id="#" xmlns:a="{ARRAYS}">
      <a:m_comparer z:Ref="#ints" i:nil="true"/>
      <a:m_keyRehashCount>0</a:m_keyRehashCount>
      <a:m_serializationArray z:Id="#" z:Size="%(exposures_count)s" xmlns:b="{GENERIC}">
        %(exposures)s
      </a:m_serializationArray>
      <a:m_serializationCapacity>31</a:m_serializationCapacity>
      <a:m_serializationConcurrencyLevel>12</a:m_serializationConcurrencyLevel>
    </DataAcquisitionAreas>
    <DelayAfterImageShift>0.5</DelayAfterImageShift>
    <DelayAfterStageShift>5</DelayAfterStageShift>
    <DriftStabilizationArea i:nil="true"/>
    <MaximumImageShift>5E-06</MaximumImageShift>
    <PhysicalTransformation xmlns:a="{SHARED_OBJECTS}">
      <a:matrix xmlns:b="{MEDIA}">
        <b:_m11>-1E-09</b:_m11><b:_m12>0</b:_m12><b:_m21>0</b:_m21><b:_m22>1E-09</b:_m22>
        <b:_offsetX>0</b:_offsetX><b:_offsetY>0</b:_offsetY><b:_padding>0</b:_padding>
        <b:_type>TRANSFORM_IS_UNKNOWN</b:_type>
      </a:matrix>
      <a:unit xmlns:b="{UNITS}">
        <b:_x003C_PrefixExponent_x003E_k__BackingField>1</b:_x003C_PrefixExponent_x003E_k__BackingField>
        <b:_x003C_Symbol_x003E_k__BackingField z:Id="#">m</b:_x003C_Symbol_x003E_k__BackingField>
      </a:unit>
    </PhysicalTransformation>
    <TemplateImagePixelSize xmlns:a="{DRAWING}">
      <a:height>1.6E-09</a:height><a:width>1.6E-09</a:width>
    </TemplateImagePixelSize>
  </TargetAreaTemplate>
</SampleXml>""")

FILTER = Template(f"""
<%(tag)s z:Id="#">
  <Id xmlns="{COMMON_TYPES}">%(ident)s</Id>
  <I0>0</I0>
  <IsCalibrated>false</IsCalibrated>
  <MaximumIntensity>65535</MaximumIntensity>
  <MinimumIntensity>0</MinimumIntensity>
  <ReferenceBeamCurrent i:nil="true"/>
  <SmartIceThicknessMaximumIntensity>0</SmartIceThicknessMaximumIntensity>
  <SmartIceThicknessMinimumIntensity>0</SmartIceThicknessMinimumIntensity>
  %(more)s
</%(tag)s>""")

HOLE_GEOMETRY = Template("""
<HoleSize>1.2E-06</HoleSize><HoleSpacing>6E-06</HoleSpacing><Rotation>0</Rotation>""")

SQUARE = Template(f"""
<b:KeyValuePairOfintSerializedReferenceOfGridSquareXml_PsqDC3X0m6koiAE_P>
  <b:key>%(square_id)s</b:key>
  <b:value z:Id="#" xmlns:c="{COMMON_TYPES}">%(file_name)s</b:value>
</b:KeyValuePairOfintSerializedReferenceOfGridSquareXml_PsqDC3X0m6koiAE_P>""")

PRESET_PAIR = Template(f"""
<KeyValuePairOfExperimentSettingsIdMicroscopeSettingsCG2rZ1D8 xmlns="{GENERIC}">
  <key>%(name)s</key>
  <value z:Id="#" xmlns:b="{_SERVICES}">
    <b:Acquisition z:Id="#" xmlns:c="{SHARED_OBJECTS}">%(acquisition)s</b:Acquisition>
    <b:DirectCalibrations z:Id="#">
      <b:CryoBoxImageBeamShift xmlns:c="{DRAWING}">
        <c:x>0</c:x><c:y>0</c:y>
      </b:CryoBoxImageBeamShift>
      <b:I0 z:Id="#">
        <b:MeasurementDiameter>0</b:MeasurementDiameter>
        <b:MeasurementPosition i:nil="true" xmlns:c="{SHARED_OBJECTS}"/>
        <b:MeasurementTime>0001-01-01T00:00:00</b:MeasurementTime>
        <b:Value>0</b:Value>
      </b:I0>
      <b:ImageShift xmlns:c="{DRAWING}"><c:height>0</c:height><c:width>0</c:width></b:ImageShift>
    </b:DirectCalibrations>
    <b:DisplayName z:Id="#">%(name)s</b:DisplayName>
    <b:Optics z:Id="#" xmlns:c="{SHARED_OBJECTS}">%(optics)s</b:Optics>
    <b:Options z:Id="#">
      <b:DdCameraOption>CameraSpecificParametersAllowed</b:DdCameraOption>
      <b:IsAcquisitionModifiable>true</b:IsAcquisitionModifiable>
      <b:IsC2Modifiable>true</b:IsC2Modifiable>
      <b:IsDefocusAllowed>true</b:IsDefocusAllowed>
      <b:IsI0MeasurementAllowed>false</b:IsI0MeasurementAllowed>
      <b:IsOpticsLinked>false</b:IsOpticsLinked>
      <b:IsOpticsModifiable>true</b:IsOpticsModifiable>
      <b:OpticalModeFilter>%(lens)s</b:OpticalModeFilter>
    </b:Options>
  </value>
</KeyValuePairOfExperimentSettingsIdMicroscopeSettingsCG2rZ1D8>""")

EXPOSURE = Template(f"""
<b:KeyValuePairOfintDataAcquisitionAreaXmlBpEWF4JT>
  <b:key>%(area)s</b:key>
  <b:value z:Id="#">
    <Id xmlns="{COMMON_TYPES}">%(area)s</Id>
    <ImageAcquisitionSettingXml z:Id="#">
      <Id xmlns="{COMMON_TYPES}">%(setting)s</Id>
      <Defocus z:Id="#" z:Type="System.Double[]" z:Assembly="0" z:Size="2">
        <a:double>-1.5E-06</a:double><a:double>-9E-07</a:double>
      </Defocus>
      <ExposureTime>1.2</ExposureTime>
    </ImageAcquisitionSettingXml>
    <ShiftInPixels xmlns:c="{DRAWING}"><c:height>0</c:height><c:width>0</c:width></ShiftInPixels>
  </b:value>
</b:KeyValuePairOfintDataAcquisitionAreaXmlBpEWF4JT>""")
