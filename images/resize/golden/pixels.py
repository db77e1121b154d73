"""The pixels that golden answers are computed from: images/resize/golden/golden.fixture.ts draws the same."""
import numpy as np


def draw(width: int, height: int, channels: int) -> np.ndarray:
    """Noise and slopes in a checkerboard of 16 pixels; uint8, height x width x channels."""
    x = np.arange(width, dtype=np.uint32)[None, :, None]
    y = np.arange(height, dtype=np.uint32)[:, None, None]
    c = np.arange(channels, dtype=np.uint32)[None, None, :]
    with np.errstate(over="ignore"):
        mixed = (x * np.uint32(73856093)) ^ (y * np.uint32(19349663)) ^ (c * np.uint32(83492791))
        noise = (mixed * np.uint32(2654435761)) >> np.uint32(24)
    slope = (x * 2 + y * 3 + c * 50) & 255
    board = (((x >> 4) + (y >> 4)) & 1) == 1
    return np.where(board, noise, slope).astype(np.uint8)
