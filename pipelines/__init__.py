"""In what order: the list of stages, the presets, the runner, the small tools."""
