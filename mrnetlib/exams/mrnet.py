"""MRNet-v1.0 in numbers: its exams, their labels and slices (Bien et al. 2018)."""

#: Exams and positive exams of MRNet-v1.0: ``train`` and ``valid`` counted from its public label
#: files, ``all`` as the paper gives them (section III.A).
COUNTS = {
    "all": {"exams": 1370, "abnormal": 1104, "acl": 319, "meniscus": 508},
    "train": {"exams": 1130, "abnormal": 913, "acl": 208, "meniscus": 397},
    "valid": {"exams": 120, "abnormal": 95, "acl": 54, "meniscus": 52},
}
#: The exams that were never published are what is left.
COUNTS["hidden"] = {
    name: count - COUNTS["train"][name] - COUNTS["valid"][name]
    for name, count in COUNTS["all"].items()
}

#: Slices per exam in MRNet-v1.0: least, median, most; and in all, where it is known.
#: Counted from its volumes (Bien et al. 2018).
SLICES = {
    "train": {
        "axial": (19, 35, 61, 38_778),
        "coronal": (17, 30, 58, 33_649),
        "sagittal": (17, 30, 51, 34_370),
    },
    "valid": {
        "axial": (20, 34, 52, None),
        "coronal": (17, 30, 48, None),
        "sagittal": (21, 30, 45, None),
    },
}

#: (abnormal, acl, meniscus) -> exams of MRNet-v1.0's train and valid sets, from its label files.
COMBINATIONS = {
    "train": {(0, 0, 0): 217, (1, 0, 0): 433, (1, 0, 1): 272, (1, 1, 0): 83, (1, 1, 1): 125},
    "valid": {(0, 0, 0): 25, (1, 0, 0): 20, (1, 0, 1): 21, (1, 1, 0): 23, (1, 1, 1): 31},
}
