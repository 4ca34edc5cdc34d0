"""Each module has `run(world, report)`."""
