"""Studies that wait and run: state, queue, worker, processes."""
