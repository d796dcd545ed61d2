"""What can be built: YAML spaces and the network families they build."""
