"""The doctor: one page, whatever is down."""
