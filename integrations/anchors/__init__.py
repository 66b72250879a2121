"""Where checkpoints are laid down off this host."""
