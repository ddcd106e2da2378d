"""Ten digits as strokes of a pen, in a square of side 1."""

import math


def arc(x, y, width, height, begin, end, count=24):
    """Points on an ellipse about (x, y), from one angle to another in degrees, clockwise."""
    angles = [math.radians(begin + (end - begin) * i / count) for i in range(count + 1)]
    return [(x + width * math.cos(angle), y + height * math.sin(angle)) for angle in angles]


STROKES = {
    "0": [arc(0.5, 0.5, 0.22, 0.34, -90, 270)],
    "1": [[(0.42, 0.3), (0.52, 0.16), (0.52, 0.84)]],
    "2": [[*arc(0.5, 0.34, 0.2, 0.18, -170, 30), (0.3, 0.82), (0.74, 0.82)]],
    "3": [[*arc(0.47, 0.33, 0.19, 0.16, -150, 90), *arc(0.47, 0.67, 0.22, 0.18, -90, 150)]],
    "4": [[(0.36, 0.16), (0.28, 0.54), (0.72, 0.54)], [(0.64, 0.18), (0.62, 0.86)]],
    "5": [[(0.7, 0.16), (0.36, 0.16), (0.34, 0.46), *arc(0.47, 0.64, 0.22, 0.2, -110, 150)]],
    "6": [[(0.62, 0.15), (0.42, 0.36), (0.33, 0.6), *arc(0.5, 0.66, 0.18, 0.18, -180, 180)]],
    "7": [[(0.28, 0.2), (0.72, 0.2), (0.46, 0.84)]],
    "8": [[*arc(0.5, 0.33, 0.16, 0.16, 90, 450), *arc(0.5, 0.67, 0.19, 0.18, -90, 270)]],
    "9": [[*arc(0.48, 0.36, 0.18, 0.18, 0, -360), (0.65, 0.5), (0.58, 0.86)]],
}
