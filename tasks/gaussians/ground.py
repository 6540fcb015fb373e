"""The ground that a subject without its background is shown on."""

NEUTRAL_GROUND = 0.7  # sRGB; mid-light grey: neither dark nor light fur vanishes on it
