"""Teaching with the notebooks: exercises that answer, and a lab of transfer learning.

A leaf: only the notebooks import it. What is right is worked out from the study's own files or from
a definition, never stored; what the lab trains is kept and resumed.
"""
