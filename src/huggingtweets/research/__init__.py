"""Questions about many runs: sweeps over hyper-parameters, and how authors compare."""
