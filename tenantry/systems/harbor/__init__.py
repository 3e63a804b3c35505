"""Harbor: projects and their parts, its configuration, sessions."""
