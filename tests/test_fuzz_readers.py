"""Mutated files end in a sentence or a right result; `python tests/fuzz_readers.py` tries more."""

import fuzz_readers


def test_no_mutated_file_is_a_traceback_or_changes_a_number(tmp_path):
    wrong = [
        (kind, seed, word, said)
        for kind, seed, word, said in fuzz_readers.outcomes(tmp_path, 24)
        if word not in fuzz_readers.allowed(kind)
    ]
    assert wrong == []
