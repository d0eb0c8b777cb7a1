"""The recorder: one process per load host that takes finished exchanges, decodes, prices and stores them,
and runs the collectors. `frames` and `link` are the load worker's end of the pipe."""
