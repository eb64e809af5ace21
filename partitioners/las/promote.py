"""Point records in another point format (ASPRS LAS 1.4 R15, section 2.6): 0 to 5 as 6 and 7, waveforms left out.

Nothing else is lost. Return numbers, flags, scanner and scan angle get the places and units of the new formats. Points
of the old class 12, *overlap*, keep that number, and get the overlap flag that the new formats have in its place.
"""

from __future__ import annotations

import numpy as np

from cbtool.partitioners.las.header import RECORD_BYTES
from cbtool.partitioners.las.records import Records, dtype_of

PROMOTED = {0: 6, 1: 6, 2: 7, 3: 7, 4: 6, 5: 7, 6: 6, 7: 7, 8: 8, 9: 6, 10: 8}
"""The point format that COPC takes for each."""
WITHOUT_WAVEFORMS = {4: 1, 5: 3, 9: 6, 10: 8}
"""The point format that has all that these have, but for the waveforms."""
WAVEFORM_BYTES = 29
DEGREE = 0.006
"""The unit of scan angles in the new formats; the old ones have whole degrees."""
OVERLAP_CLASS, OVERLAP_FLAG = 12, 0x08


def promoted(records: Records, point_format: int) -> Records:
    """Return *records* in *point_format*, with the same extra bytes; fields that they do not have are 0."""
    names = records.dtype.names or ()
    extra = records.dtype["extra"].itemsize if "extra" in names else 0
    dtype = dtype_of(point_format, RECORD_BYTES[point_format] + extra)
    if dtype == records.dtype:
        return records
    made = np.zeros(len(records), dtype)
    for name in set(names) & set(dtype.names or ()):
        made[name] = records[name]
    if "raw_classification" in names and "classification" in (dtype.names or ()):
        _modernise(records, made)
    return made


def _modernise(old: Records, new: Records) -> None:
    """Fill in the fields that the formats up to 5 pack otherwise than those from 6 on."""
    bits, classes = old["bit_fields"], old["raw_classification"]
    returns, of = bits & 0x07, bits >> 3 & 0x07
    new["bit_fields"] = returns | of << 4
    number = classes & 0x1F
    flags = classes >> 5  # synthetic, key-point, withheld: in the same order in both
    flags |= np.where(number == OVERLAP_CLASS, np.uint8(OVERLAP_FLAG), np.uint8(0))
    # Bits 4 and 5 are the scanner channel; the direction of the scan and the edge of the flight line are above them.
    new["classification_flags"] = flags | bits & 0xC0
    new["classification"] = number
    new["scan_angle"] = np.rint(old["scan_angle_rank"] / DEGREE).astype(np.int16)
