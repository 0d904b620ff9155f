"""Rigid transforms, the tree of frames over time, and the correction of poses after a jump."""
