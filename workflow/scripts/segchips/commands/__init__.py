"""What the commands segchips catalog and segchips init do."""
