"""From predictions to Table I: measures, intervals, comparisons, the published table."""
