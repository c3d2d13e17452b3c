"""Teaching with the notebooks: exercises that answer, a lab of transfer learning, and executed
notebooks as pages.

A leaf: only the notebooks import it, and the runner its pages. What is right is worked out from the
study's own files or from a definition, never stored; what the lab trains is kept and resumed.
"""
