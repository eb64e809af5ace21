"""LAS, LAZ and COPC point clouds."""
