"""GridToImage: where the cells of a feature grid lie in the image."""

from __future__ import annotations

from dataclasses import dataclass

from perception_contrast.core.arrays import Size


@dataclass(frozen=True)
class GridToImage:
    """The affine map from grid cells to image pixels, pixel centres at integer coordinates.

    The centre of cell (column i, row j) is at pixel ``(sx * i + ox, sy * j + oy)``.

    Attributes:
        sx: Pixels per column.
        sy: Pixels per row.
        ox: x of the centre of column 0.
        oy: y of the centre of row 0.
    """

    sx: float
    sy: float
    ox: float
    oy: float

    @classmethod
    def of_resize(cls, source: Size, grid: Size) -> GridToImage:
        """Map of a grid (rows, columns) that covers a whole image (height, width) evenly."""
        sy, sx = source[0] / grid[0], source[1] / grid[1]
        return cls(sx, sy, 0.5 * sx - 0.5, 0.5 * sy - 0.5)

    def to_image(self, column: float, row: float) -> tuple[float, float]:
        """Pixel (x, y) of a cell position."""
        return self.sx * column + self.ox, self.sy * row + self.oy

    def to_grid(self, x: float, y: float) -> tuple[float, float]:
        """Cell position (column, row), fractional, of a pixel."""
        return (x - self.ox) / self.sx, (y - self.oy) / self.sy

    def moved(self, dx: float, dy: float) -> GridToImage:
        """The map when the image is a crop whose top-left pixel lies at (dx, dy) of a larger one."""
        return self.then(GridToImage(1.0, 1.0, dx, dy))

    def then(self, outer: GridToImage) -> GridToImage:
        """The map of the same grid to the image that ``outer`` maps this image's pixels to."""
        ox, oy = outer.to_image(self.ox, self.oy)
        return GridToImage(self.sx * outer.sx, self.sy * outer.sy, ox, oy)
