"""DICOM: series, their roles, their geometry and the ROIs drawn on them; pydicom and highdicom have their door here."""
