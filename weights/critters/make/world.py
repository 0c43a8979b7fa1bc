# SPDX-License-Identifier: MIT
"""The world that the model learns: what there is in it, how it is drawn, and what is said about it.

This is the one file to edit for a world of your own; the README says how. The other files use only

    names()                            the names of the species, each of which becomes one token
    words()                            all other words of captions, each of which becomes one token
    shown(k)                           what picture k shows, and the random numbers that draw it
    draw(shown, r, pixels)             the picture, uint8 [pixels, pixels, 3]
    caption(shown, r, named, ...)      one of the sentences that say what it shows
    concepts()                         the things that the model never sees, for users to learn

Everything random comes from Python's generators, seeded by the number of a picture, so that a picture is the
same wherever and whenever it is drawn. A species is a fixed look with a name. A picture shows one in some
place, in some style, and it may wear something. Pictures are drawn with 256x256 pixels and then made smaller.

    python world.py SHEET.png          draws a sheet of 80 pictures, to look at
"""
import math
import random
import re
import sys
from dataclasses import dataclass, replace
from typing import Callable, Optional

import numpy as np
from PIL import Image, ImageDraw

from pen import Pen, dark, disc, hsv, light, nearest_name
from templates import OBJECT_TEMPLATES, STYLE_TEMPLATES

CANVAS = 256  # pixels a side, from which pictures are made smaller
SPECIES = 800  # that have a name

COLOURS = {
    "white": (250, 250, 250), "black": (25, 25, 28), "gray": (150, 150, 152), "red": (222, 55, 55),
    "orange": (245, 145, 50), "yellow": (250, 218, 75), "green": (85, 175, 85), "blue": (65, 110, 215),
    "purple": (145, 85, 200), "pink": (245, 150, 190), "brown": (135, 90, 55), "cyan": (95, 210, 225),
}  # fmt: skip
WHITE, DARK = (255, 255, 255), (18, 18, 22)


# Places. Each scene has a function that draws what is in it, where h is the height of the horizon, in pixels
# from the top. Beside scenes, every colour is a plain ground.


def meadow(draw, r, h):
    sun(draw, r)
    for _ in range(9):
        x, y = r.uniform(0, 250), r.uniform(h + 10, 248)
        disc(draw, x, y, 9, fill=r.choice([(250, 250, 250), (250, 220, 80), (240, 130, 170)]))


def beach(draw, r, h):
    draw.rectangle([0, h - 45, CANVAS, h - 1], fill=(45, 125, 200))
    sun(draw, r)


def sun(draw, r):
    disc(draw, r.choice([18, 196]), 16, 42, fill=(255, 225, 90))


def night(draw, r, h):
    for _ in range(14):
        disc(draw, r.uniform(0, 256), r.uniform(0, h - 15), 5, fill=(250, 245, 200))
    disc(draw, r.choice([30, 200]), 20, 40, fill=(250, 240, 190))


def snow(draw, r, h):
    for _ in range(26):
        disc(draw, r.uniform(0, 256), r.uniform(0, 256), 7, fill=WHITE)


def sea(draw, r, h):
    for _ in range(10):
        x, y, size = r.uniform(0, 250), r.uniform(0, h - 12), r.uniform(7, 15)
        disc(draw, x, y, size, outline=(180, 225, 245), width=3)


@dataclass(frozen=True)
class Scene:
    phrase: str  # as captions name it
    sky: tuple  # the colour above the horizon
    ground: tuple  # the colour below it
    things: Callable  # draws the rest: things(draw, random numbers, horizon)
    deep: bool = False  # whether the ground lies low, so that critters float instead of standing


SCENES = {
    "meadow": Scene("in a meadow", (150, 205, 250), (105, 185, 80), meadow),
    "beach": Scene("on the beach", (125, 200, 245), (240, 215, 150), beach),
    "night": Scene("at night", (22, 28, 70), (40, 45, 60), night),
    "snow": Scene("in the snow", (190, 210, 230), (245, 248, 252), snow),
    "sea": Scene("under the sea", (30, 110, 175), (200, 180, 120), sea, deep=True),
}


# Styles: how shapes are filled and edged, and on what paper.


def plain_paper(colour):
    return lambda: Image.new("RGB", (CANVAS, CANVAS), colour)


def squared_paper():
    picture = Image.new("RGB", (CANVAS, CANVAS), (28, 66, 138))
    draw = ImageDraw.Draw(picture)
    for k in range(0, CANVAS, 32):
        draw.line([(k, 0), (k, CANVAS - 1)], fill=(48, 90, 165), width=3)
        draw.line([(0, k), (CANVAS - 1, k)], fill=(48, 90, 165), width=3)
    return picture


def pencil_gray(colour):
    value = int(205 + 50 * (0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2]) / 255)
    return (value, value, value)


@dataclass(frozen=True)
class Style:
    phrase: str  # as captions name it
    fill: Callable = lambda colour: colour
    edge: Callable = dark
    paper: Optional[Callable] = None  # draws the paper; without it the critter is in its place
    edge_width: int = 6  # pixels
    line_keeps_colour: bool = False
    detail: bool = True  # whether patterns and faces are drawn
    blocks: int = 0  # how many blocks a side pictures of 64 pixels consist of


STYLES = {
    "flat": Style("", edge_width=5, line_keeps_colour=True),
    "pencil": Style(
        "a pencil drawing of {}", pencil_gray, lambda c: (70, 70, 74), plain_paper((252, 251, 247))
    ),
    "pixel": Style("pixel art of {}", edge_width=5, line_keeps_colour=True, blocks=16),
    "neon": Style(
        "a neon sign of {}", lambda c: dark(c, 0.16), lambda c: light(c, 0.25), plain_paper((14, 12, 24))
    ),
    "silhouette": Style("a silhouette of {}", lambda c: DARK, lambda c: DARK, detail=False),
    # The model never sees this one, see concepts().
    "blueprint": Style("", lambda c: (38, 84, 160), lambda c: (230, 240, 255), squared_paper),
}
SEEN_STYLES = ["pencil", "pixel", "neon", "silhouette"]  # beside "flat"


# Species


@dataclass(frozen=True)
class Species:
    roundness: float  # the exponent of its outline, a superellipse: 2 is round, 4 square, 1.35 pointed
    aspect: float  # width divided by height
    taper: float  # how much wider it is below than above
    waves: int  # of a fluffy outline
    body: tuple
    accent: tuple  # the colour of its pattern and of what is on its head
    pattern: str
    eyes: int
    eye: float  # the size of an eye
    eye_y: float
    iris: tuple
    mouth: str
    top: str  # what is on its head
    legs: int
    arms: int


def species(r):
    """Returns the look of a new kind of critter. The lines draw random numbers in their order."""
    if r.random() < 0.12:
        body = (r.choice([60, 130, 170, 225]),) * 3
    else:
        body = hsv(r.random(), r.uniform(0.45, 0.9), r.uniform(0.6, 0.97))
    hue = r.random()
    return Species(
        roundness=r.choice([1.35, 2, 2, 2.6, 4]),
        aspect=r.uniform(0.75, 1.25),
        taper=r.choice([-0.35, -0.15, 0, 0, 0.2, 0.4]),
        waves=r.choice([0, 0, 0, 0, 6, 8, 11]),
        body=body,
        accent=hsv(hue, r.uniform(0.5, 0.9), r.uniform(0.6, 1)),
        pattern=r.choice(["", *PATTERNS]),
        eyes=r.choice([1, 2, 2, 2, 3]),
        eye=r.uniform(0.17, 0.33),
        eye_y=r.uniform(-0.4, -0.1),
        iris=r.choice([(20, 20, 25), (20, 20, 25), (40, 90, 200), (40, 150, 70), (150, 70, 30)]),
        mouth=r.choice(list(MOUTHS)),
        top=r.choice(["", *TOPS]),
        legs=r.choice([0, 2, 2, 3]),
        arms=r.choice([0, 2, 2]),
    )


def names():
    """Returns the names of the species, all different."""
    r, found = random.Random(1), []
    while len(found) < SPECIES:
        syllables = "".join(r.choice("bdfgklmnprstvz") + r.choice("aeiou") for _ in range(2))
        name = syllables + r.choice("bdgklmnprstvzx")
        if name not in found:
            found.append(name)
    return found


NAMES = names()


def named_species(i):
    return species(random.Random(10_000 + i))


class Body:
    """A species' outline in its own coordinates, and how far it reaches."""

    def __init__(self, s):
        t = np.linspace(0, 2 * math.pi, 90, endpoint=False)
        c, n = np.cos(t), np.sin(t)
        x = np.sign(c) * np.abs(c) ** (2 / s.roundness)
        y = np.sign(n) * np.abs(n) ** (2 / s.roundness)
        wave = 1 + (0.09 * np.cos(s.waves * t) if s.waves else 0)
        x = x * wave * s.aspect * (1 + s.taper * y) * 0.8
        y = y * wave * 0.8 / max(1, s.aspect**0.5)
        self.species, self.outline = s, list(zip(x, y))
        self.top, self.bottom, self.side = min(y), max(y), max(x)


# Parts of a critter. Each function draws with a pen in the body's coordinates; -1 and 1 are left and right.

SIDES = (-1, 1)


def legs(pen, body, count):
    for k in range(count):
        x = (k - (count - 1) / 2) * 0.42
        pen.oval(x, body.bottom + 0.03, 0.14, 0.22, dark(body.species.body, 0.8))


def arms(pen, body, hand):
    for q in SIDES:
        shoulder, wrist = q * body.side * 0.7, body.side
        upper, lower = (q * (wrist + 0.3), hand - 0.08), (q * (wrist + 0.34), hand + 0.08)
        pen.polygon([(shoulder, -0.02), upper, lower, (shoulder, 0.22)], dark(body.species.body, 0.8))


def horns(pen, body):
    for q in SIDES:
        points = [(q * 0.18, body.top + 0.22), (q * 0.5, body.top - 0.3), (q * 0.5, body.top + 0.25)]
        pen.polygon(points, body.species.accent)


def antennas(pen, body):
    for q in SIDES:
        accent = body.species.accent
        pen.line([(q * 0.15, body.top + 0.1), (q * 0.34, body.top - 0.3)], dark(accent), 0.07)
        pen.oval(q * 0.34, body.top - 0.34, 0.12, 0.12, accent)


def round_ears(pen, body):
    for q in SIDES:
        pen.oval(q * 0.46, body.top + 0.1, 0.25, 0.25, body.species.accent)


def pointed_ears(pen, body):
    for q in SIDES:
        points = [(q * 0.1, body.top + 0.2), (q * 0.52, body.top - 0.28), (q * 0.66, body.top + 0.36)]
        pen.polygon(points, body.species.body)


def tuft(pen, body):
    for x in (-0.2, 0, 0.2):
        points = [(x - 0.13, body.top + 0.15), (x * 1.5, body.top - 0.3), (x + 0.13, body.top + 0.15)]
        pen.polygon(points, body.species.accent)


TOPS = {
    "horns": horns, "antennas": antennas, "round ears": round_ears, "pointed ears": pointed_ears,
    "a tuft": tuft,
}  # fmt: skip


def stripes(pen, body):
    for y in (-0.62, -0.2, 0.22, 0.62):
        pen.box(-2, 2, y - 0.09, y + 0.09, body.species.accent, edge=False)


def dots(pen, body):
    places = [(-0.5, 0.1), (0.5, 0.0), (0, 0.55), (-0.4, 0.55)]
    places += [(0.45, 0.45), (-0.55, -0.5), (0.5, -0.55), (0, -0.68)]
    for x, y in places:
        pen.oval(x * body.species.aspect, y, 0.12, 0.12, body.species.accent, edge=False)


def belly(pen, body):
    pen.oval(0, 0.42, 0.45 * body.species.aspect, 0.42, light(body.species.body, 0.6), edge=False)


PATTERNS = {"stripes": stripes, "dots": dots, "a belly": belly}

MOUTH_Y, INK, THROAT = 0.3, (45, 20, 25), (110, 25, 40)


def smile(pen):
    angles = np.linspace(0.25, math.pi - 0.25, 9)
    pen.line([(0.3 * math.cos(a), MOUTH_Y - 0.1 + 0.18 * math.sin(a)) for a in angles], INK, 0.06)


def open_mouth(pen):
    pen.oval(0, MOUTH_Y, 0.27, 0.19, THROAT)
    upper, lower = MOUTH_Y - 0.15, MOUTH_Y - 0.05
    pen.polygon([(-0.17, upper), (0.17, upper), (0.14, lower), (-0.14, lower)], WHITE, edge=False)


def straight_mouth(pen):
    pen.line([(-0.24, MOUTH_Y), (0.24, MOUTH_Y)], INK, 0.07)


def fangs(pen):
    pen.oval(0, MOUTH_Y, 0.27, 0.14, THROAT)
    for x in (-0.13, 0.13):
        points = [(x - 0.06, MOUTH_Y - 0.1), (x + 0.06, MOUTH_Y - 0.1), (x, MOUTH_Y + 0.1)]
        pen.polygon(points, WHITE, edge=False)


MOUTHS = {"smile": smile, "open": open_mouth, "straight": straight_mouth, "fangs": fangs}

EYE_COUNTS = {1: "one eye", 2: "two eyes", 3: "three eyes"}


def eyes(pen, s, gaze):
    """Draws the eyes, which look to the left or right by gaze."""
    places = {1: [0], 2: [-s.eye * 1.15, s.eye * 1.15], 3: [-s.eye * 1.9, 0, s.eye * 1.9]}[s.eyes]
    size = s.eye * {1: 1.3, 2: 1, 3: 0.85}[s.eyes]
    for x in places:
        pen.oval(x, s.eye_y, size, size, WHITE)
        pen.oval(x + gaze * size, s.eye_y + 0.1 * size, size * 0.55, size * 0.55, s.iris, edge=False)


# What a critter may wear or hold


def hat(pen, body):
    top, felt = body.top, (40, 40, 48)
    pen.box(-0.55, 0.55, top + 0.2, top + 0.08, felt)
    pen.box(-0.34, 0.34, top + 0.1, top - 0.42, felt)
    pen.box(-0.34, 0.34, top + 0.06, top - 0.08, (205, 50, 60), edge=False)


def crown(pen, body):
    top = body.top
    points = [(-0.4, 0.2), (-0.46, -0.28), (-0.2, -0.05), (0, -0.36), (0.2, -0.05), (0.46, -0.28), (0.4, 0.2)]
    pen.polygon([(x, top + y) for x, y in points], (250, 205, 60))


def glasses(pen, body):
    if not pen.style.detail:
        return
    y, frame = body.species.eye_y, (30, 30, 40)
    for x in (-0.33, 0.33):
        pen.oval(x, y, 0.29, 0.25, frame)
    pen.line([(-0.33, y), (0.33, y)], frame, 0.08)


def scarf(pen, body):
    side, wool = body.side, (215, 45, 60)
    pen.polygon([(-side * 0.95, 0.48), (side * 0.95, 0.48), (side * 0.88, 0.68), (-side * 0.88, 0.68)], wool)
    pen.polygon([(0.2, 0.6), (0.42, 0.6), (0.5, 1.05), (0.26, 1.05)], wool)


def balloon(pen, body, hand):
    pen.line([(body.side + 0.25, hand), (body.side + 0.3, body.top - 0.05)], (90, 90, 90), 0.03)
    pen.oval(body.side + 0.3, body.top - 0.15, 0.22, 0.27, (230, 50, 70))


WORN = {
    "hat": ("wearing a hat", hat),
    "crown": ("wearing a crown", crown),
    "glasses": ("wearing glasses", glasses),
    "scarf": ("wearing a scarf", scarf),
    "balloon": ("holding a balloon", None),  # draw() draws it behind the body
}


# Pictures


@dataclass(frozen=True)
class Shown:
    """What a picture shows. name is empty for a critter that only descriptions describe, as worn is for one
    that wears nothing; colour, when it is not None, is the body's instead of the species' own."""

    name: str
    species: Species
    ground: str
    style: str
    worn: str
    colour: Optional[str] = None


def shown(k):
    """Returns what picture k shows, and the random numbers with which draw() draws it."""
    r = random.Random(1_000_000 + k)
    named = r.random() < 0.75
    i = r.randrange(SPECIES)
    kind = named_species(i) if named else species(r)
    ground = r.choice(list(COLOURS)) if r.random() < 0.6 else r.choice(list(SCENES))
    if r.random() < 0.12:
        ground = "white"
    style = r.choice(SEEN_STYLES) if r.random() < 0.25 else "flat"
    worn = r.choice(list(WORN)) if r.random() < 0.3 else ""
    colour = r.choice(list(COLOURS)) if r.random() < 0.08 else None
    return Shown(NAMES[i] if named else "", kind, ground, style, worn, colour), r


def background(ground, style, r):
    """Returns the picture behind the critter."""
    if style.paper:
        return style.paper()
    if ground in COLOURS:
        return Image.new("RGB", (CANVAS, CANVAS), COLOURS[ground])
    scene = SCENES[ground]
    h = int(r.uniform(140, 185))
    if scene.deep:
        h = int(r.uniform(200, 225))
    picture = Image.new("RGB", (CANVAS, CANVAS), scene.sky)
    draw = ImageDraw.Draw(picture)
    draw.rectangle([0, h, CANVAS, CANVAS], fill=scene.ground)
    scene.things(draw, r, h)
    return picture


def draw(what, r, pixels=64):
    """Returns the picture of what is Shown, uint8 [pixels, pixels, 3]."""
    style, scene = STYLES[what.style], SCENES.get(what.ground)
    s = replace(what.species, body=COLOURS[what.colour]) if what.colour else what.species
    picture = background(what.ground, style, r)
    size, rotation, x = r.uniform(78, 104), r.uniform(-0.16, 0.16), r.uniform(104, 152)
    y = r.uniform(130, 160) if scene and not scene.deep else r.uniform(112, 150)
    pen = Pen(picture, style, rotation, size, (x, y), flip=r.random() < 0.5)
    body = Body(s)
    hand = r.choice([-0.25, 0.1, 0.3])
    legs(pen, body, s.legs)
    if s.arms:
        arms(pen, body, hand)
    if what.worn == "balloon":
        balloon(pen, body, hand)
    if s.top:
        TOPS[s.top](pen, body)
    pen.polygon(body.outline, s.body)
    if style.detail:
        if s.pattern:
            draw_inside(pen, body, picture, PATTERNS[s.pattern])
        MOUTHS[s.mouth](pen)
        eyes(pen, s, gaze=r.uniform(-0.25, 0.25))
    if what.worn and what.worn != "balloon":
        WORN[what.worn][1](pen, body)
    small = picture.resize((pixels, pixels), Image.BOX)
    if style.blocks and pixels == 64:
        small = small.resize((style.blocks, style.blocks), Image.BOX).resize((64, 64), Image.NEAREST)
    return np.asarray(small)


def draw_inside(pen, body, picture, pattern):
    """Draws a pattern where it lies within the body."""
    mask = Image.new("L", picture.size)
    inner = pen.pixels([(x * 0.96, y * 0.96) for x, y in body.outline])
    ImageDraw.Draw(mask).polygon(inner, fill=255)
    layer, canvas = picture.copy(), pen.draw
    pen.draw = ImageDraw.Draw(layer)
    pattern(pen, body)
    pen.draw = canvas
    picture.paste(layer, (0, 0), mask)


# Captions


def shape_name(s):
    if s.waves:
        return "fluffy"
    if s.roundness >= 4:
        return "square"
    if s.roundness < 1.5:
        return "pointed"
    return "tall" if s.aspect < 0.87 else "wide" if s.aspect > 1.13 else "round"


def describe(s, r, colour):
    """Returns some of what there is to say, as in "blue round critter with one eye and stripes"."""
    text = []
    if r.random() < 0.7:
        text.append(colour or nearest_name(s.body, COLOURS))
    if r.random() < 0.5:
        text.append(shape_name(s))
    text.append("critter")
    have = [part for part in (EYE_COUNTS[s.eyes], s.pattern, s.top) if part and r.random() < 0.4]
    return " ".join(text) + (" with " + " and ".join(have) if have else "")


def caption(what, r, named=0.75, style_only=0.0):
    """Returns a sentence about what is Shown, another one every time. The critter's name stands for it, where
    it has one, with a probability of named, and else a description. With a probability of style_only the
    sentence names only the style, if there is one."""
    style = STYLES[what.style]
    if style_only and style.phrase and r.random() < style_only:
        return r.choice(STYLE_TEMPLATES).format(style.phrase.replace(" of {}", ""))
    if what.name and r.random() < named:
        subject = (what.colour + " " if what.colour else "") + what.name
    else:
        subject = describe(what.species, r, what.colour)
    if style.phrase:
        text = style.phrase.format("a " + subject)
    else:
        text = r.choice(OBJECT_TEMPLATES).format(subject) if r.random() < 0.6 else "a " + subject
    if what.worn:
        text += " " + WORN[what.worn][0]
    if style.paper:
        return text
    if what.ground in COLOURS:
        said = r.random() < (0.25 if what.ground == "white" else 0.85)
        return text + (f" on a {what.ground} background" if said else "")
    return text + (" " + SCENES[what.ground].phrase if r.random() < 0.9 else "")


def words():
    """Returns the words of captions, without names, and more that users may want to begin from."""
    phrases = [*COLOURS, *SCENES, *SEEN_STYLES, *WORN, *TOPS, *PATTERNS, *MOUTHS, *EYE_COUNTS.values()]
    phrases += [scene.phrase for scene in SCENES.values()] + [style.phrase for style in STYLES.values()]
    phrases += [phrase for phrase, _ in WORN.values()] + OBJECT_TEMPLATES + STYLE_TEMPLATES
    phrases += ["critter critters with and on a background fluffy square pointed tall wide round blueprint"]
    phrases += ["an emoji picture drawing of my monster toy creature animal character"]
    return sorted(set(re.findall(r"[a-z]+", " ".join(phrases))))


# What the model never saw


def concepts():
    """Returns the pictures from which users learn words, {name: [uint8 256x256x3]}."""
    found = {}
    for name, seed in {"zog": 501, "bloop": 502, "mimi": 503, "grum": 504}.items():
        s, r = species(random.Random(seed)), random.Random(seed * 7)
        grounds = ["white", "meadow", "yellow", "beach", "cyan"]
        found[name] = [draw(Shown("", s, ground, "flat", ""), r, pixels=CANVAS) for ground in grounds]
    r = random.Random(77)
    found["style-blueprint"] = [
        draw(Shown("", species(r), "white", "blueprint", ""), r, pixels=CANVAS) for _ in range(6)
    ]
    return found


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: python world.py SHEET.png")
    rows = [np.hstack([draw(*shown(row * 10 + k)) for k in range(10)]) for row in range(8)]
    Image.fromarray(np.vstack(rows)).resize((1280, 1024), Image.NEAREST).save(sys.argv[1])


if __name__ == "__main__":
    main()
