"""Code reviews of public GitHub repositories: read, never run."""
