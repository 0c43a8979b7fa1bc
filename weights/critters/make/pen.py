# SPDX-License-Identifier: MIT
"""Colours, and a pen that draws shapes onto a picture. world.py draws everything with them."""
import colorsys
import math

import numpy as np
from PIL import ImageDraw


def hsv(hue, saturation, value):
    """Returns the RGB colour, 0 to 255, of hue, saturation and value, 0 to 1. The hue goes round."""
    return tuple(int(255 * c) for c in colorsys.hsv_to_rgb(hue % 1, saturation, value))


def dark(colour, factor=0.62):
    """Returns a colour that is nearer to black."""
    return tuple(int(c * factor) for c in colour)


def light(colour, part=0.45):
    """Returns a colour that is nearer to white by a part of the distance."""
    return tuple(int(c + (255 - c) * part) for c in colour)


def nearest_name(colour, names):
    """Returns the name in names, a dict of RGB colours, whose colour is nearest."""
    return min(names, key=lambda name: sum((a - b) ** 2 for a, b in zip(colour, names[name])))


def ellipse_points(x, y, a, b, count=28):
    """Returns points on the ellipse around (x, y) with half axes a and b."""
    angles = np.linspace(0, 2 * math.pi, count, endpoint=False)
    return [(x + a * math.cos(t), y + b * math.sin(t)) for t in angles]


def disc(draw, x, y, size, **colours):
    """Draws a disc whose upper left corner is (x, y), in pixels, with Pillow's fill, outline and width."""
    draw.ellipse([x, y, x + size, y + size], **colours)


class Pen:
    """Draws shapes that are given in a body's coordinates: (0, 0) is its middle, 1 about its half size, and y
    points down. The style says how they are filled and edged."""

    def __init__(self, picture, style, rotation, size, at, flip):
        """size is that of 1 in pixels, and at the middle's place; flip exchanges left and right."""
        self.draw = ImageDraw.Draw(picture)
        self.style, self.size, self.at, self.flip = style, size, at, flip
        self.cos, self.sin = math.cos(rotation) * size, math.sin(rotation) * size

    def pixels(self, points):
        """Returns the places of points in the picture."""
        turned = [(-x if self.flip else x, y) for x, y in points]
        return [
            (self.at[0] + (self.cos * x - self.sin * y), self.at[1] + self.sin * x + self.cos * y)
            for x, y in turned
        ]  # fmt: skip

    def polygon(self, points, colour, edge=True):
        """Draws a filled polygon, with an edge unless edge is False."""
        corners = self.pixels(points)
        self.draw.polygon(corners, fill=self.style.fill(colour))
        if edge:
            closed, edge = corners + corners[:2], self.style.edge(colour)
            self.draw.line(closed, fill=edge, width=self.style.edge_width, joint="curve")

    def box(self, left, right, top, bottom, colour, edge=True):
        """Draws a rectangle."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], colour, edge)

    def oval(self, x, y, a, b, colour, edge=True):
        """Draws an ellipse around (x, y) with half axes a and b."""
        self.polygon(ellipse_points(x, y, a, b), colour, edge)

    def line(self, points, colour, width):
        """Draws a line through points; width is in the body's coordinates."""
        fill = colour if self.style.line_keeps_colour else self.style.edge(colour)
        self.draw.line(self.pixels(points), fill=fill, width=max(3, int(width * self.size)), joint="curve")
