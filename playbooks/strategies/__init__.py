"""One module per strategy: what an exposure's kind asks for, drafted as steps."""
