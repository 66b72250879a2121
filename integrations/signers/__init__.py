"""Who signs checkpoints and packs: the installation's own key, or one in an HSM."""
