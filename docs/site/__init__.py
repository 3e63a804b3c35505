"""The documentation as a site, and the generated tables of its reference."""
