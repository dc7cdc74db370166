# Install, export and pkg-config.
