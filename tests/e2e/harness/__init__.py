"""What the end-to-end tests stand on: programs beside postrider, each a class with start and stop."""
