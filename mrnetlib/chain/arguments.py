"""What the command line takes for a study and for a number."""

import argparse
import re


def one_or_more(word: str) -> int:
    """A whole number from 1 on."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is no whole number of 1 or more.")
    return int(word)


def study_name(word: str) -> str:
    """The name of a file in ``studies/``, which is part of paths and commands."""
    word = word.removesuffix(".yaml")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", word):
        raise argparse.ArgumentTypeError(
            f"{word!r} cannot be a study's name, which has only letters, digits, '_', '.' and '-', "
            "a letter or digit first. Name a file in studies/ without its .yaml, as in phantom."
        )
    return word
