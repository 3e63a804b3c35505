"""The four systems: an adapter for each, and all of them as one (`systems`)."""
