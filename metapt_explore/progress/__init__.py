"""What a run tells while it works: state, terminal, notebook."""
