"""The splits step: revises the splits that follow from location by what the labels say."""
