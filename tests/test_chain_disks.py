import errno

import pytest

from mrnetlib.chain.disks import disks_told
from mrnetlib.files import InputError


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_as_that(number):
    with pytest.raises(InputError, match=r"^full/x: no space is left .* TMPDIR"), disks_told():
        raise OSError(number, "No space left on device", "full/x")


def test_no_place_for_temporary_files_is_told_as_that():
    words = "No usable temporary directory found in ['/full']"
    with pytest.raises(InputError, match=r"^TMPDIR: No usable .*'/full'.* Free some"), disks_told():
        raise FileNotFoundError(errno.ENOENT, words)


def test_other_errors_stay_what_they_are():
    with pytest.raises(PermissionError), disks_told():
        raise PermissionError(errno.EACCES, "no", "x")
