"""From predictions to a page a reader can judge them by: scores, their summary, pictures and the report."""
