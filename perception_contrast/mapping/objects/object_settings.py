"""ObjectSettings: what makes detections one object, and what makes an object go."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ObjectSettings:
    """How detections become objects. Lengths are metres, cosines are of unit vectors.

    Attributes:
        voxel: Side of the voxels of an object.
        associate_overlap: Least share of the smaller voxel set that a detection shares with its object.
        associate_cosine: Least cosine of their vectors.
        track_overlap: Least share where the 2D tracker says that it is the same thing.
        merge_overlap: Least share of the smaller voxel set that two objects share before they are one.
        merge_inside: Share of an object's points in the box of another of its label from which they are one.
        merge_cosine: Least cosine of two such objects of different labels.
        least_voxels: A detection on fewer voxels is left out.
        confirm_sightings: An object is confirmed from so many sightings on,
        confirm_confidence: and from this confidence on;
        doubt_confidence: below this one it is unconfirmed again.
        seen_through: Share of an object's visible points that the depth sees behind, from which on the
            object is not where it was.
        unlike: An object whose place looks otherwise than it did is not there either: share of the way from
            how alike other objects are to how alike its own sightings are.
        unlike_sightings: Only of an object that was seen so often is it known how it looks,
        unlike_few: and of one that was seen twice it is known a little: then the share is this,
        unlike_cells: only where so many cells of the image's features show its place,
        unlike_visible: and only where this share of what is in view of it is not hidden.
        through_frames: So many visible frames running have to say so.
        margin: How much farther than a point the depth has to be to see behind it.
        margin_slope: The same as a share of the distance, where that is more.
        visible_share: Least share of an object's points that is in view and not hidden, for the frame to say
            anything about it.
        visible_points: And least number of them.
        near: Depth below it counts as missing.
        far: Depth beyond it counts as missing.
        reidentify_cosine: Least similarity, the mean of the cosines in both spaces, of a thing that moved.
        reidentify_lead: How much more similar it has to be than any other candidate.
        reidentify_size: Largest ratio of the extents of a thing before and after it moved.
        thumbnail_side: Longer side of a thumbnail, pixels.
        max_objects: Objects that are kept; the least valuable leave first.
    """

    voxel: float = 0.05
    associate_overlap: float = 0.25
    associate_cosine: float = 0.75
    track_overlap: float = 0.1
    merge_overlap: float = 0.5
    merge_inside: float = 0.5
    merge_cosine: float = 0.9
    least_voxels: int = 2
    confirm_sightings: int = 2
    confirm_confidence: float = 0.7
    doubt_confidence: float = 0.5
    seen_through: float = 0.4
    unlike: float = 0.3
    unlike_sightings: int = 5
    unlike_few: float = 0.1
    unlike_cells: int = 9
    unlike_visible: float = 0.6
    through_frames: int = 2
    margin: float = 0.05
    margin_slope: float = 0.02
    visible_share: float = 0.25
    visible_points: int = 3
    near: float = 0.1
    far: float = 8.0
    reidentify_cosine: float = 0.8
    reidentify_lead: float = 0.03
    reidentify_size: float = 2.0
    thumbnail_side: int = 160
    max_objects: int = 10_000
