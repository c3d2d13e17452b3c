"""Teaching with the notebooks: exercises that answer, without a network and without a key.

A leaf: only the notebooks import it. What is right is worked out from the study's own files or from
a definition, never stored.
"""
