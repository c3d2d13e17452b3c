"""The chain of a study: its steps, what each was made from, and which are to be made again."""
