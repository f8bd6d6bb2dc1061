"""What distributions require, and what of it is there."""
