"""The words of the DICOM objects: codes of the standard where it has them, else codes of our own.

Of a tear of a ligament or a meniscus as a network's target the standard has no code that we could
look up offline, and a code that means nearly the same would claim too much.
"""

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from mrnetlib.names import TASK_TITLES

#: The designator of this project's own codes; 99 at its start marks private ones.
SCHEME = "99MRNETLIB"
SCHEME_NAME = "Codes of mrnetlib, a study of knee MRI by neural networks"


def own(value: str, meaning: str) -> Code:
    """A code of this project; its meaning has at most 64 characters (DICOM's LO)."""
    return Code(value, SCHEME, meaning)


TASK = {task: own(task, title) for task, title in TASK_TITLES.items()}

PROBABILITY = codes.DCM.Probability
LOW = own("low", "Lower end, 95 % interval of share of alike scored test exams")
HIGH = own("high", "Upper end, 95 % interval of share of alike scored test exams")
FOUND = own("found", "Alike scored test exams that had the finding")
SCORED = own("scored", "Alike scored test exams")
PLANE_SHARE = own("plane-share", "Share of the plane in the fused logit")
INTERCEPT = own("intercept", "Intercept of the fused logit")
LOGIT = own("logit", "Logit of the plane, mean of its networks")
BIAS = own("bias", "Bias in the logit of the plane, mean of its networks")
SUM = own("sum", "Sum of the shares of all pixels in the logit of the plane")
SIDE = own("side-of-half", "Side of the threshold 0.5 that the probability lies on")
ABOVE = own("at-least-half", "Probability of 0.5 or more")
BELOW = own("below-half", "Probability below 0.5")

NO_UNITS = codes.UCUM.NoUnits
EVIDENCE = codes.DCM.ClassActivation
DEVICE = codes.DCM.Device
REGION = codes.SCT.Knee
MEASUREMENT_REPORT = codes.DCM.ImagingMeasurementReport
MEASUREMENTS = codes.DCM.ImagingMeasurements
PROCEDURE = codes.LN.MRIUnspecifiedBodyRegion
COMMENT = codes.DCM.Comment
OF_INTEREST = codes.DCM.OfInterest
