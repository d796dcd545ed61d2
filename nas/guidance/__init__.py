"""What a run's own evaluations say about architectures not yet tried."""
