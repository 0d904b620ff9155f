#!/usr/bin/env python3
"""Segments an image by k-means of its features, without any text.

python3 cluster.py --ros-args -p clusters:=6

Publishes ~/labels (sensor_msgs/Image, mono16, numbers from 1 on) and ~/labels/image (rgb8, for people), in
the size and with the header of the source image. A cluster keeps its number from frame to frame.
"""

from __future__ import annotations

import warnings

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from scipy.cluster.vq import kmeans2
from sensor_msgs.msg import Image

from perception_contrast.client import ClientError, ClosedError, Features, PerceptionClient
from perception_contrast.ros.messages.image_messages import image_message
from perception_contrast.visualization.overlay import label_colour


class Clusters:
    """k-means of unit vectors that starts each frame at the means of the last."""

    def __init__(self, count: int, seed: int = 0) -> None:
        self._count, self._seed = count, seed
        self._means: np.ndarray | None = None
        self._space = ""

    def labels(self, values: np.ndarray, space: str) -> np.ndarray:
        """(h, w, c) features to (h, w) uint16 from 1 on. Means of another space are not used."""
        rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        count = min(self._count, len(rows))
        if self._means is None or space != self._space or len(self._means) != count:
            start, how = count, "++"
        else:
            start, how = self._means, "matrix"
        with warnings.catch_warnings():
            # A cluster can be empty in a frame; its mean stays.
            warnings.filterwarnings("ignore", message=".*clusters is empty.*")
            means, labels = kmeans2(rows, start, iter=10, minit=how, seed=self._seed)
        self._means, self._space = means, space
        return (labels.reshape(values.shape[:2]) + 1).astype(np.uint16)


def upsample_labels(labels: np.ndarray, features: Features) -> np.ndarray:
    """(H, W) labels of the source image's pixels: each pixel takes those of the cell that it lies in."""
    grid, (height, width) = features.grid.grid_to_image, features.grid.image_size
    columns = np.rint((np.arange(width) - grid.ox) / grid.sx).astype(int)
    rows = np.rint((np.arange(height) - grid.oy) / grid.sy).astype(int)
    return labels[np.clip(rows, 0, labels.shape[0] - 1)][:, np.clip(columns, 0, labels.shape[1] - 1)]


class Cluster(Node):
    def __init__(self, **arguments: object) -> None:
        super().__init__("cluster", **arguments)
        self._clusters = Clusters(int(self.declare_parameter("clusters", 6).value))
        self._labels = self.create_publisher(Image, "~/labels", 2)
        self._image = self.create_publisher(Image, "~/labels/image", 2)
        self._client = PerceptionClient(self)

    def run(self) -> None:
        """Returns when the client is closed. Raises ClientError if perception_node cannot be used."""
        self.get_logger().info(f"waiting for {self._client.target}")
        self._client.wait_until_active()
        with self._client.features() as stream:
            for features in stream:
                labels = upsample_labels(self._clusters.labels(features.values, features.space), features)
                self._labels.publish(image_message(labels, features.header))
                if self._image.get_subscription_count():
                    colours = np.array([label_colour(number) for number in range(labels.max() + 1)], np.uint8)
                    self._image.publish(image_message(colours[labels], features.header))

    def close(self) -> None:
        self._client.close()
        self.destroy_node()


def main() -> None:
    rclpy.init()
    node = Cluster()
    try:
        node.run()
    except (KeyboardInterrupt, ExternalShutdownException, ClosedError):
        pass
    except ClientError as error:
        node.get_logger().error(str(error))
    finally:
        node.close()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
