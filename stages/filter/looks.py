"""What a picture looks like, in numbers that survive being saved, resized and brightened again."""

import cv2
import numpy as np

from stages import pictures
from stages.pictures import Pixels

SIDE = 32
LOW = 8


def decode(data: bytes) -> Pixels:
    return pictures.decode(data)


def perceptual_hash(pixels: Pixels) -> int:
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:LOW, :LOW].flatten()
    bits = low > np.median(low[1:])
    return int(np.packbits(bits).view(">u8")[0])


def contrast(pixels: Pixels) -> float:
    return float(pixels.reshape(-1, 3).std(0).max())
