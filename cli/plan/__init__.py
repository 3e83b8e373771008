"""`trunkshow plan`: what a size will need, from what was measured."""
